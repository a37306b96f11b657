"""Refits and shadows over HTTP: what is asked for is recorded, and a key without the right changes nothing."""

import httpx
import pytest
from sqlalchemy import Engine, select

from leaktrace.records.database import transaction
from leaktrace.records.keys import GRANTABLE_SCOPES
from leaktrace.records.open_set_models import Label
from tests.integration.api.service import (
    DENSITY,
    MakeClient,
    attribute_batch,
    create_batch,
    picture,
    register_model,
    upload,
)


@pytest.fixture
def admin(make_client: MakeClient, engine: Engine) -> httpx.Client:
    register_model(engine)
    return make_client(tenant="moderators", scopes=GRANTABLE_SCOPES)


def test_asked_refit_is_recorded(admin: httpx.Client) -> None:
    answer = admin.post("/v1/density/refits", json={"reason": "we looked at them"})
    listed = admin.get("/v1/density/refits").json()["data"][0]
    assert (answer.status_code, listed["id"]) == (202, answer.json()["id"])
    assert (listed["outcome"], listed["reason"], listed["decided_at"]) == ("asked", "we looked at them", None)


def test_density_never_in_shadow_has_no_differences(admin: httpx.Client) -> None:
    report = admin.get(f"/v1/density/{DENSITY}/shadow").json()
    assert (report["images"], report["flips"], report["differences"]) == (0, 0, [])


def test_unknown_density_is_told(admin: httpx.Client) -> None:
    answer = admin.get("/v1/density/none-1/shadow")
    assert (answer.status_code, answer.json()["code"]) == (404, "density_not_found")


@pytest.mark.parametrize("trusted", [True, False])
def test_only_an_administrators_label_is_trusted(
    make_client: MakeClient, admin: httpx.Client, engine: Engine, trusted: bool
) -> None:
    client = admin if trusted else make_client(tenant="moderators")
    batch_id = create_batch(client)
    upload(client, batch_id, {"a.jpg": picture(900 + trusted)})
    client.post(f"/v1/batches/{batch_id}/close")
    attribute_batch(engine, batch_id)
    image = client.get(f"/v1/batches/{batch_id}/results").json()["data"][0]["image"]
    client.post(f"/v1/images/{image['id']}/labels", json={"kind": "confirm", "reason": "seen"})
    with transaction(engine) as session:
        found = session.scalars(select(Label.trusted).where(Label.sha256 == image["sha256"])).one()
    assert found is trusted
