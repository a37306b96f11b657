"""Keys, tenants, the audit trail and the status over HTTP: who may, what is told, and that nobody gains a right."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, update

from leaktrace.records.database import transaction
from leaktrace.records.keys import GRANTABLE_SCOPES, SCOPES, TENANT_ADMIN, ensure_tenant
from leaktrace.records.models import Shard
from leaktrace.records.webhook_models import WebhookEndpoint
from tests.integration.api.service import MakeClient, complete_batch, create_batch, picture, register_model

TENANT_SCOPES = (*SCOPES, TENANT_ADMIN)


@pytest.fixture
def alone(make_client: MakeClient, request: pytest.FixtureRequest) -> httpx.Client:
    """A tenant administrator's client, of a tenant of this test's own."""
    return make_client(tenant=request.node.name, scopes=TENANT_SCOPES)


@pytest.fixture(scope="module")
def admin(make_client: MakeClient) -> httpx.Client:
    """Of somebody who runs the service."""
    return make_client(tenant="operators", scopes=GRANTABLE_SCOPES)


def make(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/keys", json={"name": "night shift", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_key_is_shown_once(alone: httpx.Client) -> None:
    made = make(alone, scopes=["batches:read"], expires_days=7)
    seen = alone.get(f"/v1/keys/{made['id']}").json()
    assert made["key"].startswith(f"lk_live_{made['id']}_")
    assert seen == {name: value for name, value in made.items() if name != "key"}


def test_made_key_works(alone: httpx.Client, make_client: MakeClient) -> None:
    client = make_client(key=make(alone, scopes=["batches:read"])["key"])
    assert (client.get("/v1/batches").status_code, client.post("/v1/batches", json={}).status_code) == (
        200,
        403,
    )


def test_key_without_named_scopes_is_not_trusted(alone: httpx.Client) -> None:
    made = make(alone)
    assert (made["labels_are_trusted"], sorted(made["scopes"])) == (False, sorted(SCOPES))


def test_service_key_is_trusted(admin: httpx.Client) -> None:
    assert make(admin, scopes=["labels:write", "service:admin"])["labels_are_trusted"]


def test_nobody_gives_what_they_lack(alone: httpx.Client) -> None:
    answer = alone.post("/v1/keys", json={"name": "x", "scopes": ["service:admin"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


def test_revoked_key_stops_working(alone: httpx.Client, make_client: MakeClient) -> None:
    made = make(alone, scopes=["batches:read"])
    answers = [alone.delete(f"/v1/keys/{made['id']}").status_code for _ in range(2)]
    assert (answers, make_client(key=made["key"]).get("/v1/batches").status_code) == ([204, 204], 401)
    assert alone.get(f"/v1/keys/{made['id']}").json()["state"] == "revoked"


def test_key_does_not_revoke_itself(alone: httpx.Client) -> None:
    own = alone.get("/v1/keys").json()["data"][0]["id"]
    answer = alone.delete(f"/v1/keys/{own}")
    assert (answer.status_code, answer.json()["code"]) == (409, "own_key")


def test_other_tenants_keys_are_unknown(alone: httpx.Client, admin: httpx.Client) -> None:
    made = make(admin, scopes=["batches:read"])
    tenant_id = next(
        one["id"] for one in admin.get("/v1/tenants").json()["data"] if one["name"] == "operators"
    )
    assert alone.get(f"/v1/keys/{made['id']}").status_code == 404
    assert alone.delete(f"/v1/keys/{made['id']}").status_code == 404
    assert alone.get("/v1/keys", params={"tenant_id": tenant_id}).status_code == 403


@pytest.mark.parametrize("path", ["keys", "audit", "status", "tenants"])
def test_plain_key_administers_nothing(client: httpx.Client, path: str) -> None:
    assert client.get(f"/v1/{path}").status_code == 403


@pytest.mark.parametrize("path", ["tenants", "audit?of=service", "status?of=service"])
def test_tenant_admin_sees_no_other_tenant(alone: httpx.Client, path: str) -> None:
    assert alone.get(f"/v1/{path}").status_code == 403


def test_new_tenant_gets_its_first_key(admin: httpx.Client, make_client: MakeClient) -> None:
    tenant = admin.post("/v1/tenants", json={"name": "newsroom"}).json()
    made = make(admin, tenant_id=tenant["id"], scopes=["batches:read", "batches:write"])
    assert make_client(key=made["key"]).post("/v1/batches", json={}).status_code == 201
    again = admin.post("/v1/tenants", json={"name": "newsroom"})
    assert (again.status_code, again.json()["code"]) == (409, "tenant_exists")


def test_quota_holds_at_once(admin: httpx.Client, make_client: MakeClient) -> None:
    tenant = admin.post("/v1/tenants", json={"name": "frugal", "daily_image_quota": 0}).json()
    client = make_client(tenant="frugal")
    batch_id = create_batch(client)
    parts = [("files", ("a.jpg", picture(7), "image/jpeg"))]
    refused = client.post(f"/v1/batches/{batch_id}/images", files=parts).status_code
    changed = admin.patch(f"/v1/tenants/{tenant['id']}", json={"daily_image_quota": None}).json()
    taken = client.post(f"/v1/batches/{batch_id}/images", files=parts).status_code
    assert (refused, taken, changed["daily_image_quota"]) == (429, 200, None)
    assert changed["quota_in_force"] > 0


def test_tenants_come_page_by_page(admin: httpx.Client) -> None:
    for name in ("page-a", "page-b"):
        admin.post("/v1/tenants", json={"name": name})
    names, cursor = [], None
    while True:
        page = admin.get("/v1/tenants", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        names += [one["name"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == [one["name"] for one in admin.get("/v1/tenants").json()["data"]]
    assert {"page-a", "page-b", "operators"} <= set(names)


def test_audit_tells_who_did_what(alone: httpx.Client) -> None:
    made = make(alone, scopes=["batches:read"])
    alone.delete(f"/v1/keys/{made['id']}")
    own = alone.get("/v1/keys").json()["data"][-1]["id"]
    found = alone.get("/v1/audit", params={"action": "key.", "subject": made["id"]}).json()["data"]
    assert [one["action"] for one in found] == ["key.revoked", "key.created"]
    assert {one["actor"] for one in found} == {f"key:{own}"}


def test_audit_holds_no_other_tenant(alone: httpx.Client, admin: httpx.Client) -> None:
    make(admin, scopes=["batches:read"])
    own = {one["tenant"] for one in alone.get("/v1/audit").json()["data"]}
    everybodys = {one["tenant"] for one in admin.get("/v1/audit", params={"of": "service"}).json()["data"]}
    assert own == {"test_audit_holds_no_other_tenant"}
    assert {"operators", "test_audit_holds_no_other_tenant"} <= everybodys


def test_audit_is_filtered_by_time(alone: httpx.Client) -> None:
    make(alone)
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert alone.get("/v1/audit", params={"since": later}).json()["data"] == []
    assert len(alone.get("/v1/audit", params={"until": later}).json()["data"]) == 2


def test_audit_comes_page_by_page(alone: httpx.Client) -> None:
    for _ in range(4):
        make(alone, scopes=["batches:read"])
    seen, cursor = [], None
    while True:
        page = alone.get("/v1/audit", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5


def test_audit_is_exported_whole(alone: httpx.Client) -> None:
    make(alone, name="=1+1", scopes=["batches:read"])
    lines = alone.get("/v1/audit?format=ndjson").text.splitlines()
    rows = list(csv.DictReader(io.StringIO(alone.get("/v1/audit?format=csv").text)))
    assert json.loads(lines[-1]) == {"type": "end", "count": 2}
    assert [row["action"] for row in rows] == ["key.created"] * 2


def test_status_counts_own_images(alone: httpx.Client, admin: httpx.Client, engine: Engine) -> None:
    register_model(engine)
    batch_id = complete_batch(
        alone, engine, {"a.jpg": picture(801), "b.jpg": picture(802)}, failed=("b.jpg",)
    )
    with transaction(engine) as session:
        ended = datetime.now(UTC)
        session.execute(update(Shard).where(Shard.batch_id == UUID(batch_id)).values(finished_at=ended))
    own, all_ = alone.get("/v1/status").json(), admin.get("/v1/status?of=service").json()
    assert sum(one["attributed"] for one in own["minutes"]) == 1
    assert [(one["code"], one["images"]) for one in own["failures"]] == [("truncated", 1)]
    assert (own["stages"]["attribute"]["median"], own["waiting"] is not None) == (0.1, True)
    assert (len(own["minutes"]), sum(one["attributed"] for one in all_["minutes"]) >= 1) == (60, True)
    assert [(one["id"], one["alive"]) for one in own["workers"]] == [("worker-1", True)]


def test_failing_webhook_is_an_alarm(alone: httpx.Client, engine: Engine) -> None:
    alone.post("/v1/webhooks", json={"url": "https://hooks.example.com/x"})
    tenant_name = "test_failing_webhook_is_an_alarm"
    with transaction(engine) as session:
        mine = WebhookEndpoint.tenant_id == ensure_tenant(session, tenant_name)
        session.execute(update(WebhookEndpoint).where(mine).values(failing_since=datetime.now(UTC)))
    alarms = {one["name"]: one["detail"] for one in alone.get("/v1/status").json()["alarms"]}
    assert "https://hooks.example.com/x" in alarms["webhook"]
