"""What a tenant may submit in a day, and when the service takes no more batches."""

from uuid import UUID

import httpx
from sqlalchemy import Engine, update

from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Tenant
from leaktrace.settings import Settings
from tests.integration.api.service import MakeClient, create_batch, picture, serve_app, upload


def limited_client(make_client: MakeClient, engine: Engine, *, tenant: str, quota: int) -> httpx.Client:
    with transaction(engine) as session:
        tenant_id: UUID = ensure_tenant(session, tenant)
        session.execute(update(Tenant).where(Tenant.id == tenant_id).values(daily_image_quota=quota))
    return make_client(tenant=tenant)


def send(client: httpx.Client, batch_id: str, *names: str) -> httpx.Response:
    parts = [("files", (name, picture(n))) for n, name in enumerate(names)]
    return client.post(f"/v1/batches/{batch_id}/images", files=parts)


def test_used_up_quota_is_429(make_client: MakeClient, engine: Engine) -> None:
    client = limited_client(make_client, engine, tenant="two-a-day", quota=2)
    batch_id = create_batch(client)
    assert send(client, batch_id, "a", "b").status_code == 200
    answer = send(client, batch_id, "c")
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
    assert 0 < int(answer.headers["Retry-After"]) <= 86_401
    assert answer.headers["RateLimit"].startswith('"images";r=0;t=')
    assert answer.headers["RateLimit-Policy"] == '"images";q=2;w=86400'


def test_quota_counts_images_exactly(make_client: MakeClient, engine: Engine) -> None:
    client = limited_client(make_client, engine, tenant="three-a-day", quota=3)
    answers = send(client, create_batch(client), "a", "b", "c", "d").json()["data"]
    codes = [answer["error"]["code"] if answer["error"] else None for answer in answers]
    assert codes == [None, None, None, "quota_exceeded"]


def test_duplicates_and_refusals_are_free(make_client: MakeClient, engine: Engine) -> None:
    client = limited_client(make_client, engine, tenant="free", quota=5)
    batch_id = create_batch(client)
    send(client, batch_id, "a")
    upload(client, batch_id, {"empty": b""})
    assert send(client, batch_id, "a").headers["RateLimit"].startswith('"images";r=4;')


def test_promises_count_too(make_client: MakeClient, engine: Engine) -> None:
    client = limited_client(make_client, engine, tenant="promiser", quota=1)
    url = f"/v1/batches/{create_batch(client)}/uploads"
    files = [{"custom_id": name, "sha256": "0" * 64, "size_bytes": 1} for name in ("a", "b")]
    first = client.post(url, json={"files": files}).json()["data"]
    assert [answer["status"] for answer in first] == ["upload", "refused"]
    assert client.post(url, json={"files": files[1:]}).status_code == 429


def test_quota_is_the_tenants_own(make_client: MakeClient, engine: Engine) -> None:
    spent = limited_client(make_client, engine, tenant="spent", quota=0)
    assert send(spent, create_batch(spent), "a").status_code == 429
    other = make_client(tenant="thrifty")
    assert send(other, create_batch(other), "a").status_code == 200


def test_long_backlog_refuses_batches(
    settings: Settings, make_client: MakeClient, client: httpx.Client
) -> None:
    batch_id = create_batch(client)
    upload(client, batch_id, {str(n): picture(n) for n in range(3)})
    client.post(f"/v1/batches/{batch_id}/close")
    with serve_app(settings.model_copy(update={"max_backlog_images": 2})) as url:
        answer = make_client(url=url).post("/v1/batches", json={})
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (
        503,
        "backlog_too_long",
        "60",
    )


def test_backlog_leaves_open_batches_alone(
    settings: Settings, make_client: MakeClient, batch_id: str
) -> None:
    with serve_app(settings.model_copy(update={"max_backlog_images": 2})) as url:
        assert send(make_client(url=url), batch_id, "a").status_code == 200
