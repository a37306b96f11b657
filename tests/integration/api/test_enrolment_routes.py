"""Asking for enrolments and rollbacks over HTTP: what is recorded, and what is refused at once."""

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.client import Client
from leaktrace.records.database import transaction
from leaktrace.records.enrolments import accept
from tests.integration.api.service import (
    DENSITY,
    MakeClient,
    complete_batch,
    create_batch,
    picture,
    register_model,
)


@pytest.fixture
def attributed_batch(client: httpx.Client, engine: Engine) -> str:
    register_model(engine)
    return complete_batch(client, engine, {"a.jpg": picture(41), "b.jpg": picture(42)})


def enrol(client: httpx.Client, batch_id: str, name: str) -> httpx.Response:
    body = {"of": "batch", "name": name, "batch_id": batch_id, "reason": "we made them"}
    return client.post("/v1/generators", json=body)


def code_of(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("code")


def test_enrolment_waits_for_decision(client: httpx.Client, attributed_batch: str) -> None:
    answer = enrol(client, attributed_batch, "flux-1")
    (asked,) = answer.json()["data"]
    (listed, *_) = client.get("/v1/generators/enrolments").json()["data"]
    assert (answer.status_code, asked["state"], listed["id"]) == (202, "pending", asked["id"])


def test_known_name_is_taken(client: httpx.Client, attributed_batch: str) -> None:
    assert code_of(enrol(client, attributed_batch, "sd-2.1")) == (409, "name_taken")


def test_pending_name_is_taken(client: httpx.Client, attributed_batch: str) -> None:
    enrol(client, attributed_batch, "flux-2")
    assert code_of(enrol(client, attributed_batch, "flux-2")) == (409, "name_taken")


def test_empty_batch_has_no_examples(client: httpx.Client, attributed_batch: str) -> None:
    assert attributed_batch
    assert code_of(enrol(client, create_batch(client), "flux-3")) == (422, "no_examples")


def test_strangers_batch_is_unknown(make_client: MakeClient, attributed_batch: str) -> None:
    answer = enrol(make_client(tenant="rival"), attributed_batch, "flux-4")
    assert code_of(answer) == (404, "batch_not_found")


def test_unknown_generator_cannot_be_undone(client: httpx.Client, attributed_batch: str) -> None:
    assert attributed_batch
    answer = client.post("/v1/generators/nobody/undo", json={"reason": "a mistake"})
    assert code_of(answer) == (404, "generator_not_found")


def test_active_generator_is_listed_for_its_tenant(
    client: httpx.Client, make_client: MakeClient, engine: Engine, attributed_batch: str
) -> None:
    (asked,) = enrol(client, attributed_batch, "flux-5").json()["data"]
    with transaction(engine) as session:
        accept(session, asked["id"], density_version=DENSITY, gates=[])
    kinds = {each["name"]: each["kind"] for each in client.get("/v1/generators").json()["data"]}
    others = {each["name"] for each in make_client(tenant="rival").get("/v1/generators").json()["data"]}
    assert (kinds["flux-5"], kinds["sd-2.1"], "flux-5" in others) == ("enrolled", "known", False)


def test_shared_density_is_not_a_tenants_to_roll_back(client: httpx.Client, attributed_batch: str) -> None:
    assert attributed_batch
    answer = client.post("/v1/density/rollback", json={"reason": "a try"})
    assert code_of(answer) == (409, "nothing_to_roll_back")


def test_client_speaks_of_the_open_set(base_url: str, client: httpx.Client, attributed_batch: str) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    with Client(base_url, key) as ours:
        asked = ours.open_set.enrol_batch(attributed_batch, "flux-6", reason="we made them")
        names = [one.name for one in ours.open_set.enrolments()]
        densities = [(one.version, one.scope, one.state) for one in ours.open_set.densities()]
    assert (asked.state, asked.is_decided, names[0]) == ("pending", False, "flux-6")
    assert (DENSITY, "shared", "active") in densities


def test_images_of_generator_are_listed(client: httpx.Client, engine: Engine, attributed_batch: str) -> None:
    (asked,) = enrol(client, attributed_batch, "flux-7").json()["data"]
    assert client.get("/v1/generators/flux-7/images").json()["code"] == "generator_not_found"
    with transaction(engine) as session:
        accept(session, asked["id"], density_version=DENSITY, gates=[])
    results = client.get(f"/v1/batches/{attributed_batch}/results").json()["data"]
    listed = client.get("/v1/generators/flux-7/images", params={"limit": 1}).json()
    assert listed["count"] == len(results)
    assert listed["data"][0] in [result["image"]["id"] for result in results]
