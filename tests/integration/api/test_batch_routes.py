"""A batch's life over HTTP, on real servers: create, list, poll, close, cancel, retry, delete."""

from uuid import UUID, uuid4

import httpx
from sqlalchemy import Engine, func, select

from leaktrace.objects import S3ObjectStore, image_key
from leaktrace.records.database import transaction
from leaktrace.records.models import Batch, Item, Shard, Tenant
from leaktrace.records.shards import enter_state
from tests.integration.api.service import (
    MakeClient,
    attribute_batch,
    complete_batch,
    create_batch,
    picture,
    register_model,
    upload,
)


def close(client: httpx.Client, batch_id: str) -> httpx.Response:
    return client.post(f"/v1/batches/{batch_id}/close")


def completed_batch(client: httpx.Client, engine: Engine, *names: str, failed: tuple[str, ...] = ()) -> str:
    register_model(engine)
    return complete_batch(
        client, engine, {name: picture(hash(name) % 2**32) for name in names}, failed=failed
    )


def test_create_answers_location(client: httpx.Client) -> None:
    answer = client.post("/v1/batches", json={"name": "a", "metadata": {"run": 7, "ok": True}})
    body = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/batches/{body['id']}")
    assert (body["state"], body["metadata"]) == ("uploading", {"run": 7, "ok": True})
    assert int(answer.headers["Retry-After"]) >= 1


def test_whole_life_completes(client: httpx.Client, engine: Engine) -> None:
    batch_id = completed_batch(client, engine, "a", "b", "c")
    seen = client.get(f"/v1/batches/{batch_id}").json()
    assert (seen["state"], seen["counts"]["succeeded"], seen["counts"]["total"]) == ("completed", 3, 3)
    assert all(
        seen[f"{state}_at"] for state in ("uploading", "validating", "queued", "finalizing", "completed")
    )


def test_close_answers_202(client: httpx.Client, batch_id: str) -> None:
    upload(client, batch_id, {"a": picture()})
    answer = close(client, batch_id)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert answer.headers["Location"] == f"/v1/batches/{batch_id}"
    assert "Retry-After" in answer.headers


def test_closing_twice_is_harmless(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    upload(client, batch_id, {"a": picture()})
    close(client, batch_id)
    assert close(client, batch_id).status_code == 202
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).where(Shard.batch_id == UUID(batch_id))) == 1


def test_close_enqueues_each_shard(client: httpx.Client, broker_url: str, batch_id: str) -> None:
    import redis

    with redis.Redis.from_url(broker_url) as broker:
        before = broker.llen("attribute")
        upload(client, batch_id, {str(n): picture(n) for n in range(65)})
        close(client, batch_id)
        assert broker.llen("attribute") - before == 2  # 64 images a shard


def test_empty_batch_completes_at_once(client: httpx.Client, batch_id: str) -> None:
    assert close(client, batch_id).json()["state"] == "completed"


def test_closed_batch_takes_no_images(client: httpx.Client, batch_id: str) -> None:
    close(client, batch_id)
    answer = client.post(f"/v1/batches/{batch_id}/images", files=[("files", ("a", picture()))])
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_batch_state")


def test_unchanged_batch_is_304(client: httpx.Client, batch_id: str) -> None:
    etag = client.get(f"/v1/batches/{batch_id}").headers["ETag"]
    again = client.get(f"/v1/batches/{batch_id}", headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)


def test_etag_changes_with_counts(client: httpx.Client, batch_id: str) -> None:
    etag = client.get(f"/v1/batches/{batch_id}").headers["ETag"]
    upload(client, batch_id, {"a": picture()})
    again = client.get(f"/v1/batches/{batch_id}", headers={"If-None-Match": etag})
    assert (again.status_code, again.headers["ETag"] != etag) == (200, True)


def test_retry_after_only_while_unfinished(client: httpx.Client, batch_id: str) -> None:
    assert "Retry-After" in client.get(f"/v1/batches/{batch_id}").headers
    close(client, batch_id)
    assert "Retry-After" not in client.get(f"/v1/batches/{batch_id}").headers


def test_unknown_batch_is_404(client: httpx.Client) -> None:
    answer = client.get(f"/v1/batches/{uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "batch_not_found")


def test_malformed_id_is_422(client: httpx.Client) -> None:
    answer = client.get("/v1/batches/12")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "path:batch_id")


def test_pages_list_every_batch(make_client: MakeClient) -> None:
    client = make_client(tenant="lister")
    made = [create_batch(client) for _ in range(5)]
    listed, cursor = [], None
    while True:
        page = client.get("/v1/batches", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        listed += [batch["id"] for batch in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert listed == made[::-1]


def test_list_filters_by_state(make_client: MakeClient) -> None:
    client = make_client(tenant="filterer")
    _, closed = create_batch(client), create_batch(client)
    close(client, closed)
    page = client.get("/v1/batches", params={"state": "completed"}).json()
    assert [batch["id"] for batch in page["data"]] == [closed]


def test_list_cursor_keeps_its_filter(make_client: MakeClient) -> None:
    client = make_client(tenant="pager")
    create_batch(client), create_batch(client)
    cursor = client.get("/v1/batches", params={"limit": 1}).json()["next_cursor"]
    answer = client.get("/v1/batches", params={"limit": 1, "cursor": cursor, "state": "uploading"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_cancel_before_close_cancels(client: httpx.Client, batch_id: str) -> None:
    upload(client, batch_id, {"a": picture(), "b": picture(1)})
    answer = client.post(f"/v1/batches/{batch_id}/cancel")
    assert (answer.status_code, answer.json()["state"], answer.json()["counts"]["cancelled"]) == (
        202,
        "cancelled",
        2,
    )


def test_cancel_leaves_leased_shards(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    upload(client, batch_id, {str(n): picture(n) for n in range(65)})
    close(client, batch_id)
    with transaction(engine) as session:  # what a worker does when it claims one
        shard = session.scalars(select(Shard).where(Shard.batch_id == UUID(batch_id)).limit(1)).one()
        shard.state = "leased"
        items = session.scalars(select(Item).where(Item.shard_id == shard.id)).all()
        for item in items:
            item.state = "running"
    seen = client.post(f"/v1/batches/{batch_id}/cancel").json()
    assert (seen["state"], seen["counts"]["running"]) == ("cancelling", len(items))
    assert seen["counts"]["cancelled"] == 65 - len(items)


def test_cancel_does_not_wait_for_a_claim(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    upload(client, batch_id, {"a": picture()})
    close(client, batch_id)
    with transaction(engine) as session:
        session.scalars(select(Shard).where(Shard.batch_id == UUID(batch_id)).with_for_update()).one()
        seen = client.post(f"/v1/batches/{batch_id}/cancel", timeout=5).json()
    assert (seen["state"], seen["counts"]["pending"]) == ("cancelling", 1)


def test_completed_batch_cannot_be_cancelled(client: httpx.Client, engine: Engine) -> None:
    batch_id = completed_batch(client, engine, "a")
    assert client.post(f"/v1/batches/{batch_id}/cancel").status_code == 409


def test_cancelling_twice_is_harmless(client: httpx.Client, batch_id: str) -> None:
    client.post(f"/v1/batches/{batch_id}/cancel")
    assert client.post(f"/v1/batches/{batch_id}/cancel").json()["state"] == "cancelled"


def test_retry_preview_changes_nothing(client: httpx.Client, engine: Engine) -> None:
    batch_id = completed_batch(client, engine, "a", "b", failed=("b",))
    preview = client.post(f"/v1/batches/{batch_id}/retry", json={"dry_run": True}).json()
    assert preview == {"count": 1, "codes": {"truncated": 1}, "executed": False}
    assert client.get(f"/v1/batches/{batch_id}").json()["state"] == "completed"


def test_retry_sends_only_failures(client: httpx.Client, engine: Engine) -> None:
    batch_id = completed_batch(client, engine, "a", "b", "c", failed=("b", "c"))
    done = client.post(f"/v1/batches/{batch_id}/retry", json={"dry_run": False}).json()
    seen = client.get(f"/v1/batches/{batch_id}").json()
    assert done == {"count": 2, "codes": {"truncated": 2}, "executed": True}
    assert (seen["state"], seen["counts"]["pending"], seen["counts"]["succeeded"]) == ("queued", 2, 1)
    attribute_batch(engine, batch_id)
    assert client.get(f"/v1/batches/{batch_id}").json()["counts"]["succeeded"] == 3


def test_unfinished_batch_cannot_be_retried(client: httpx.Client, batch_id: str) -> None:
    assert client.post(f"/v1/batches/{batch_id}/retry", json={}).json()["code"] == "wrong_batch_state"


def test_delete_is_accepted_at_once(client: httpx.Client, engine: Engine) -> None:
    batch_id = completed_batch(client, engine, "only here")
    answers = [client.delete(f"/v1/batches/{batch_id}") for _ in range(2)]
    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(202, "deleting")] * 2
    assert client.post(f"/v1/batches/{batch_id}/retry", json={"dry_run": False}).status_code == 409


def test_open_batch_cannot_be_deleted(client: httpx.Client, batch_id: str) -> None:
    assert client.delete(f"/v1/batches/{batch_id}").status_code == 409


def test_held_batch_cannot_be_deleted(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    with transaction(engine) as session:
        batch = session.get_one(Batch, UUID(batch_id))
        enter_state(batch, "expired")
        session.add(Shard(tenant_id=batch.tenant_id, batch_id=batch.id, state="leased"))
    assert client.delete(f"/v1/batches/{batch_id}").json()["code"] == "batch_busy"


def test_images_again_after_deletion(client: httpx.Client, engine: Engine, store: S3ObjectStore) -> None:
    first = completed_batch(client, engine, "phoenix")
    client.delete(f"/v1/batches/{first}")
    batch_id = create_batch(client)
    answer = upload(client, batch_id, {"phoenix": picture(hash("phoenix") % 2**32)})[0]
    with transaction(engine) as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "acme")).one()
    assert store.size(image_key(tenant_id, answer["sha256"])) == answer["size_bytes"]
