"""Keys, scopes and tenants: who is let in, and what nobody may see of another."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.records.database import transaction
from leaktrace.records.keys import revoke_key
from tests.integration.api.service import MakeClient, complete_batch, create_batch, picture, register_model

ROUTES = [
    ("POST", "/v1/batches", "batches:write"),
    ("GET", "/v1/batches", "batches:read"),
    ("GET", "/v1/batches/{id}", "batches:read"),
    ("DELETE", "/v1/batches/{id}", "batches:write"),
    ("POST", "/v1/batches/{id}/images", "batches:write"),
    ("POST", "/v1/batches/{id}/uploads", "batches:write"),
    ("POST", "/v1/batches/{id}/close", "batches:write"),
    ("POST", "/v1/batches/{id}/cancel", "batches:write"),
    ("POST", "/v1/batches/{id}/retry", "batches:write"),
    ("GET", "/v1/batches/{id}/results", "results:read"),
    ("GET", "/v1/generators", "generators:read"),
    ("GET", "/v1/generators/candidates", "generators:read"),
    ("GET", "/v1/generators/candidates/{id}/medoids/0", "generators:read"),
    ("POST", "/v1/generators", "generators:write"),
    ("GET", "/v1/generators/enrolments", "generators:read"),
    ("POST", "/v1/generators/flux-3/merge", "generators:write"),
    ("POST", "/v1/generators/flux-3/split", "generators:write"),
    ("POST", "/v1/generators/flux-3/undo", "generators:write"),
    ("GET", "/v1/density", "density:read"),
    ("POST", "/v1/density/rollback", "density:write"),
    ("GET", "/v1/density/refits", "density:read"),
    ("POST", "/v1/density/refits", "service:admin"),
    ("GET", "/v1/density/any-1/shadow", "density:read"),
    ("GET", "/v1/density/any-1/shadow/images", "density:read"),
    ("POST", "/v1/density/any-1/promote", "service:admin"),
    ("POST", "/v1/rescores", "batches:write"),
    ("GET", "/v1/rescores", "results:read"),
    ("GET", "/v1/rescores/{id}", "results:read"),
    ("GET", "/v1/rescores/{id}/items", "results:read"),
    ("GET", "/v1/drift", "density:read"),
    ("GET", "/v1/drift/alarms", "density:read"),
    ("POST", "/v1/generators/flux-3/promote", "service:admin"),
    ("POST", "/v1/generators/flux-3/demote", "service:admin"),
    ("POST", "/v1/images/{id}/labels", "labels:write"),
    ("GET", "/v1/images/{id}/labels", "results:read"),
    ("GET", "/v1/models", "density:read"),
    ("GET", "/v1/models/none", "density:read"),
    ("GET", "/v1/keys", "tenant:admin"),
    ("POST", "/v1/keys", "tenant:admin"),
    ("DELETE", "/v1/keys/0123456789abcdef", "tenant:admin"),
    ("GET", "/v1/audit", "tenant:admin"),
    ("GET", "/v1/status", "tenant:admin"),
    ("GET", "/v1/tenants", "service:admin"),
    ("POST", "/v1/tenants", "service:admin"),
    ("PATCH", "/v1/tenants/{id}", "service:admin"),
]
BODIES = {
    "uploads": {"files": [{"custom_id": "a", "sha256": "0" * 64, "size_bytes": 1}]},
    "retry": {},
    "generators": {"of": "batch", "name": "x", "batch_id": str(UUID(int=0)), "reason": "seen"},
    "merge": {"into": "x", "reason": "seen"},
    "split": {"new_name": "x", "image_ids": [str(UUID(int=0))], "reason": "seen"},
    "undo": {"reason": "seen"},
    "refits": {"reason": "seen"},
    "promote": {"reason": "seen"},
    "demote": {"reason": "seen"},
    "rollback": {"reason": "seen"},
    "rescores": {"of": "batch", "batch_id": str(UUID(int=0)), "reason": "seen"},
    "labels": {"kind": "confirm", "reason": "seen"},
    "batches": {},
}


def ask(client: httpx.Client, method: str, path: str, batch_id: str) -> httpx.Response:
    last = path.rsplit("/", 1)[1]
    if method == "POST" and last == "images":
        return client.post(path.format(id=batch_id), files=[("files", ("a", picture()))])
    body = BODIES.get(last) if method == "POST" else None
    return client.request(method, path.format(id=batch_id), json=body)


BAD_HEADERS = [None, "Bearer", "Bearer nonsense", f"Bearer lk_live_{'0' * 16}_{'A' * 43}", "Basic YTpi"]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_bad_key_is_401(base_url: str, header: str | None) -> None:
    answer = httpx.get(f"{base_url}/v1/batches", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_expired_key_is_401(make_client: MakeClient) -> None:
    client = make_client(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert client.get("/v1/batches").status_code == 401


def test_revoked_key_is_401(make_client: MakeClient, make_key: Callable[..., str], engine: Engine) -> None:
    key = make_key()
    client = make_client(key=key)
    assert client.get("/v1/batches").status_code == 200
    with transaction(engine) as session:
        revoke_key(session, key.split("_")[2])
    assert client.get("/v1/batches").status_code == 401


def test_wrong_secret_is_401(make_client: MakeClient, make_key: Callable[..., str]) -> None:
    key = make_key()
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert make_client(key=wrong).get("/v1/batches").status_code == 401


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_scope_is_needed(make_client: MakeClient, batch_id: str, method: str, path: str, scope: str) -> None:
    others = tuple(sorted({route[2] for route in ROUTES} - {scope}))
    answer = ask(make_client(scopes=others), method, path, batch_id)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_scope_is_enough(make_client: MakeClient, batch_id: str, method: str, path: str, scope: str) -> None:
    assert ask(make_client(scopes=(scope,)), method, path, batch_id).status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path"), [route[:2] for route in ROUTES if "batches/{id}" in route[1]])
def test_other_tenants_batch_is_404(make_client: MakeClient, batch_id: str, method: str, path: str) -> None:
    answer = ask(make_client(tenant="stranger"), method, path, batch_id)
    assert (answer.status_code, answer.json()["code"]) == (404, "batch_not_found")


def test_other_tenants_image_is_404(client: httpx.Client, make_client: MakeClient, engine: Engine) -> None:
    register_model(engine)
    batch_id = complete_batch(client, engine, {"a": picture(51)})
    image_id = client.get(f"/v1/batches/{batch_id}/results").json()["data"][0]["image"]["id"]
    assert make_client(tenant="stranger").get(f"/v1/images/{image_id}/attribution").status_code == 404


def test_other_tenants_batch_is_not_listed(make_client: MakeClient, batch_id: str) -> None:
    listed = make_client(tenant="hermit").get("/v1/batches").json()["data"]
    assert batch_id not in [batch["id"] for batch in listed]


def test_other_tenants_cursor_is_refused(client: httpx.Client, make_client: MakeClient) -> None:
    create_batch(client), create_batch(client)
    cursor = client.get("/v1/batches", params={"limit": 1}).json()["next_cursor"]
    assert make_client(tenant="stranger").get("/v1/batches", params={"cursor": cursor}).status_code == 400
