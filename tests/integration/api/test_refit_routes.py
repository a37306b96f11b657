"""Refits and shadows over HTTP: what is asked for is recorded, and a key without the right changes nothing."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, select

from leaktrace.client import Client
from leaktrace.records.database import transaction
from leaktrace.records.density_models import DensityVersion, ShadowJudgement
from leaktrace.records.keys import GRANTABLE_SCOPES
from leaktrace.records.models import Attribution, Item
from leaktrace.records.open_set_models import Label
from tests.integration.api.service import DENSITY, MODEL, MakeClient, complete_batch, picture, register_model


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
    batch_id = complete_batch(client, engine, {"a.jpg": picture(900 + trusted)})
    image = client.get(f"/v1/batches/{batch_id}/results").json()["data"][0]["image"]
    client.post(f"/v1/images/{image['id']}/labels", json={"kind": "confirm", "reason": "seen"})
    with transaction(engine) as session:
        found = session.scalars(select(Label.trusted).where(Label.sha256 == image["sha256"])).one()
    assert found is trusted


@pytest.fixture
def flipped(admin: httpx.Client, engine: Engine) -> str:
    """A density in shadow that would answer two images of the tenant otherwise, and a third one alike."""
    version = "test-shadow-1"
    batch_id = complete_batch(admin, engine, {f"{seed}.jpg": picture(seed) for seed in (910, 911, 912)})
    facts = {"object_key": "densities/shadow", "sha256": "1" * 64, "known_images": 3, "reason": "a test"}
    with transaction(engine) as session:
        session.merge(DensityVersion(version=version, model_version=MODEL, state="shadow", **facts))
        session.flush()
        judged = session.execute(
            select(Attribution.id, Attribution.tenant_id)
            .join(Item, Item.attribution_id == Attribution.id)
            .where(Item.batch_id == UUID(batch_id))
        ).all()
        for number, (attribution_id, tenant_id) in enumerate(judged):
            named = {"verdict": "unseen"} if number else {"verdict": "generator", "generator": "sd-2.1"}
            judgement = ShadowJudgement(
                density_version=version, attribution_id=attribution_id, tenant_id=tenant_id, p_value=0.04
            )
            judgement.reason = "a test"
            judgement.verdict, judgement.generator = named["verdict"], named.get("generator")
            session.merge(judgement)
    return version


def test_images_that_a_shadow_changes_are_listed(
    base_url: str, admin: httpx.Client, make_client: MakeClient, flipped: str
) -> None:
    key = admin.headers["Authorization"].removeprefix("Bearer ")
    with Client(base_url, key) as ours:
        images = list(ours.open_set.shadow_images(flipped))
        report = ours.open_set.shadow(flipped)
    assert {(one.before, one.after, one.p_after) for one in images} == {("sd-2.1", "unseen", 0.04)}
    assert (len(images), report.flips, report.images) == (2, 2, 3)
    paths = f"/v1/density/{flipped}/shadow/images"
    first = admin.get(paths, params={"limit": 1}).json()
    second = admin.get(paths, params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert first["data"][0]["image_id"] != second["data"][0]["image_id"]
    assert make_client(tenant="rival").get(paths).json()["data"] == []


def test_only_an_administrator_rolls_everybody_back(make_client: MakeClient, admin: httpx.Client) -> None:
    asked = {"reason": "a try", "scope": "shared"}
    refused = make_client(tenant="moderators").post("/v1/density/rollback", json=asked)
    taken = admin.post("/v1/density/rollback", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert (taken.status_code, taken.json()["code"]) == (409, "nothing_to_roll_back")
    assert "is the first density" in taken.json()["detail"]


def test_promotion_of_a_density_waits_for_a_worker(base_url: str, admin: httpx.Client, flipped: str) -> None:
    key = admin.headers["Authorization"].removeprefix("Bearer ")
    with Client(base_url, key) as ours:
        asked = ours.open_set.promote_density(flipped, reason="we looked")
        assert (asked.is_decided, asked.density_version, asked.reason) == (False, flipped, "we looked")
    active = admin.post(f"/v1/density/{DENSITY}/promote", json={"reason": "a try"})
    assert (active.status_code, active.json()["code"]) == (409, "not_promotable")
