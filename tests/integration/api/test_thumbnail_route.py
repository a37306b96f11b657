"""An image's thumbnail: given to its tenant, kept only by whoever may see it, and honest when there is none."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.objects import S3ObjectStore, thumbnail_key
from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from tests.integration.api.service import MakeClient, complete_batch, picture, register_model

THUMBNAIL = b"\xff\xd8 a small picture"


@pytest.fixture(scope="module")
def images(client: httpx.Client, engine: Engine, store: S3ObjectStore) -> dict[str, dict[str, Any]]:
    """Two images by custom_id; a worker drew a thumbnail of the first."""
    register_model(engine)
    batch_id = complete_batch(client, engine, {"drawn": picture(900), "bare": picture(901)})
    results = client.get(f"/v1/batches/{batch_id}/results").json()["data"]
    found = {result["custom_id"]: result["image"] for result in results}
    with transaction(engine) as session:
        key = thumbnail_key(ensure_tenant(session, "acme"), found["drawn"]["sha256"])
    store.put(key, THUMBNAIL, content_type="image/jpeg")
    return found


def test_thumbnail_is_private_jpeg(client: httpx.Client, images: dict[str, dict[str, Any]]) -> None:
    answer = client.get(f"/v1/images/{images['drawn']['id']}/thumbnail")
    assert (answer.content, answer.headers["content-type"]) == (THUMBNAIL, "image/jpeg")
    assert answer.headers["cache-control"].startswith("private, ")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("image", "code"), [("bare", "thumbnail_not_found"), (str(UUID(int=7)), "image_not_found")]
)
def test_missing_thumbnail_says_why(
    client: httpx.Client, images: dict[str, dict[str, Any]], image: str, code: str
) -> None:
    image_id = images[image]["id"] if image in images else image
    answer = client.get(f"/v1/images/{image_id}/thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_foreign_thumbnail_is_not_found(make_client: MakeClient, images: dict[str, dict[str, Any]]) -> None:
    answer = make_client(tenant="other").get(f"/v1/images/{images['drawn']['id']}/thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (404, "image_not_found")


def test_thumbnail_needs_results_scope(make_client: MakeClient, images: dict[str, dict[str, Any]]) -> None:
    answer = make_client(scopes=("batches:read",)).get(f"/v1/images/{images['drawn']['id']}/thumbnail")
    assert answer.status_code == 403
