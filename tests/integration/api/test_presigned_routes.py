"""Uploads straight to the store: forms that really work there, and only as promised."""

import hashlib
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, select

from leaktrace.objects import ObjectMissing, S3ObjectStore, image_key, staged_key
from leaktrace.records.database import transaction
from leaktrace.records.models import Item
from tests.integration.api.service import MakeClient, create_batch, picture, upload
from worker.deletion import Deleter


def describe(data: bytes, custom_id: str = "a") -> dict[str, Any]:
    return {"custom_id": custom_id, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def promise(
    client: httpx.Client, batch_id: str, *files: dict[str, Any], resume: bool = False
) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/batches/{batch_id}/uploads", json={"files": list(files), "resume": resume})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def post_form(form: dict[str, Any], data: bytes) -> httpx.Response:
    return httpx.post(form["url"], data=form["fields"], files={"file": ("a.jpg", data)}, timeout=30)


def find_item(engine: Engine, form: dict[str, Any]) -> Item:
    with transaction(engine) as session:
        return session.scalars(select(Item).where(Item.id == UUID(form["item_id"]))).one()


def test_form_takes_the_file(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    data = picture(31)
    form = promise(client, batch_id, describe(data))[0]
    answer = post_form(form, data)
    item = find_item(engine, form)
    assert (form["status"], answer.is_success) == ("upload", True)
    assert store.get(staged_key(item.tenant_id, item.id)) == data
    assert (item.staged_sha256, item.image_id) == (hashlib.sha256(data).hexdigest(), None)


def test_form_takes_no_larger_file(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    data = picture(32)
    form = promise(client, batch_id, describe(data))[0]
    item = find_item(engine, form)
    assert post_form(form, data + b"x").is_client_error
    with pytest.raises(ObjectMissing):
        store.size(staged_key(item.tenant_id, item.id))


def test_form_takes_no_other_key(client: httpx.Client, batch_id: str) -> None:
    form = promise(client, batch_id, describe(picture(33)))[0]
    form["fields"]["key"] = form["fields"]["key"] + "x"
    assert post_form(form, picture(33)).is_client_error


def test_asking_again_gives_a_form(client: httpx.Client, batch_id: str) -> None:
    first, again = (promise(client, batch_id, describe(picture(34)))[0] for _ in range(2))
    assert (again["status"], again["item_id"]) == ("upload", first["item_id"])


def test_resuming_spares_what_was_posted(client: httpx.Client, batch_id: str) -> None:
    posted, missing = describe(picture(44), "posted"), describe(picture(45), "missing")
    post_form(promise(client, batch_id, posted, missing)[0], picture(44))
    answers = promise(client, batch_id, posted, missing, resume=True)
    assert [answer["status"] for answer in answers] == ["present", "upload"]


def test_known_bytes_are_present(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    upload(client, create_batch(client), {"x": picture(35)})
    answer = promise(client, batch_id, describe(picture(35)))[0]
    assert (answer["status"], answer["url"]) == ("present", None)
    assert find_item(engine, answer).image_id is not None


def test_present_item_is_then_duplicate(client: httpx.Client, batch_id: str) -> None:
    upload(client, batch_id, {"a": picture(36)})
    assert promise(client, batch_id, describe(picture(36)))[0]["status"] == "duplicate"


def test_lost_object_is_asked_for_again(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    answer = upload(client, create_batch(client), {"x": picture(37)})[0]
    store.delete([image_key(find_item(engine, answer).tenant_id, answer["sha256"])])
    assert promise(client, batch_id, describe(picture(37)))[0]["status"] == "upload"


def test_other_tenants_bytes_are_not_present(make_client: MakeClient, client: httpx.Client) -> None:
    upload(client, create_batch(client), {"x": picture(38)})
    stranger = make_client(tenant="stranger")
    assert promise(stranger, create_batch(stranger), describe(picture(38)))[0]["status"] == "upload"


def test_multipart_fills_a_promise(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    form = promise(client, batch_id, describe(picture(39)))[0]
    answer = upload(client, batch_id, {"a": picture(39)})[0]
    item = find_item(engine, form)
    assert (answer["status"], answer["item_id"]) == ("accepted", form["item_id"])
    assert (item.image_id is not None, item.staged_sha256) == (True, None)


def test_refusals_are_answered_singly(client: httpx.Client, batch_id: str) -> None:
    good, large = describe(picture(40)), {**describe(picture(41), "b"), "size_bytes": 64_000_001}
    clash = {**describe(picture(42)), "custom_id": "a"}
    answers = promise(client, batch_id, good, large, clash)
    assert [answer["status"] for answer in answers] == ["upload", "refused", "refused"]
    assert [answer["error"]["code"] for answer in answers[1:]] == ["too_many_bytes", "duplicate_custom_id"]


def test_deletion_removes_staged_objects(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    form = promise(client, batch_id, describe(picture(43)))[0]
    post_form(form, picture(43))
    item = find_item(engine, form)
    client.post(f"/v1/batches/{batch_id}/cancel")
    assert client.delete(f"/v1/batches/{batch_id}").status_code == 202
    Deleter(engine=engine, store=store).run()
    with pytest.raises(ObjectMissing):
        store.size(staged_key(item.tenant_id, item.id))
