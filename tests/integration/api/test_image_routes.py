"""One image by itself: its record, and its bytes with headers that keep a browser from making a page of them."""

import hashlib
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.objects import S3ObjectStore, image_key
from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from tests.integration.api.service import DENSITY, MakeClient, complete_batch, picture, register_model


def submitted(client: httpx.Client, engine: Engine, *, seed: int, name: str = "a.jpg") -> dict[str, Any]:
    """The result of one image in a new batch."""
    register_model(engine)
    batch_id = complete_batch(client, engine, {name: picture(seed)}, name="night shift")
    result: dict[str, Any] = client.get(f"/v1/batches/{batch_id}/results").json()["data"][0]
    return result


def test_record_has_results_id(client: httpx.Client, engine: Engine) -> None:
    result = submitted(client, engine, seed=1)
    record = client.get(f"/v1/images/{result['image']['id']}").json()
    assert {name: record[name] for name in result["image"]} == result["image"]


def test_record_names_every_appearance(client: httpx.Client, engine: Engine) -> None:
    results = [submitted(client, engine, seed=2, name=name) for name in ("first.jpg", "second.jpg")]
    record = client.get(f"/v1/images/{results[0]['image']['id']}").json()
    assert [one["custom_id"] for one in record["appearances"]] == ["second.jpg", "first.jpg"]
    assert [one["batch_name"] for one in record["appearances"]] == ["night shift"] * 2


def test_record_holds_answers(client: httpx.Client, engine: Engine) -> None:
    result = submitted(client, engine, seed=3)
    (answer,) = client.get(f"/v1/images/{result['image']['id']}").json()["answers"]
    assert (answer["generator"], answer["density_version"]) == ("sd-2.1", DENSITY)


def test_content_is_what_was_submitted(client: httpx.Client, engine: Engine) -> None:
    result = submitted(client, engine, seed=4)
    answer = client.get(f"/v1/images/{result['image']['id']}/content")
    assert hashlib.sha256(answer.content).hexdigest() == result["image"]["sha256"]
    assert (answer.headers["Content-Type"], answer.headers["X-Content-Type-Options"]) == (
        "image/jpeg",
        "nosniff",
    )
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"].startswith("private")


def test_known_content_is_not_sent_again(client: httpx.Client, engine: Engine) -> None:
    path = f"/v1/images/{submitted(client, engine, seed=5)['image']['id']}/content"
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("part", ["", "/content"])
def test_stranger_finds_no_image(
    client: httpx.Client, make_client: MakeClient, engine: Engine, part: str
) -> None:
    theirs = submitted(make_client(tenant="rival"), engine, seed=6)
    answer = client.get(f"/v1/images/{theirs['image']['id']}{part}")
    assert (answer.status_code, answer.json()["code"]) == (404, "image_not_found")


def test_provenance_is_read_beside(client: httpx.Client, engine: Engine) -> None:
    result = submitted(client, engine, seed=8)
    found = client.get(f"/v1/images/{result['image']['id']}/provenance").json()
    assert (found["sha256"], found["credentials"]["state"]) == (result["image"]["sha256"], "absent")


def test_deleted_bytes_are_gone(client: httpx.Client, engine: Engine, store: S3ObjectStore) -> None:
    image = submitted(client, engine, seed=7)["image"]
    with transaction(engine) as session:
        tenant_id: UUID = ensure_tenant(session, "acme")
    store.delete([image_key(tenant_id, image["sha256"])])
    answer = client.get(f"/v1/images/{image['id']}/content")
    assert (answer.status_code, answer.json()["code"]) == (404, "content_gone")
