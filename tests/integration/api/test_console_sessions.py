"""Signing in to the console, and what a session is then allowed: the same as its role's scopes, from its own pages."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine, update

from leaktrace.passwords import hash_password
from leaktrace.records.console_models import ROLES, ConsoleSession, SignInAttempt
from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.operators import create_operator, disable_operator

PASSWORD = "correct horse battery"
Browse = Callable[..., httpx.Client]


@pytest.fixture(scope="module", autouse=True)
def _operators(engine: Engine) -> None:
    password_hash = hash_password(PASSWORD)
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, "acme")
        for name in (*ROLES, "leaver", "locked"):
            role = name if name in ROLES else "viewer"
            create_operator(session, tenant_id, name=name, role=role, password_hash=password_hash)


@pytest.fixture
def browse(base_url: str, engine: Engine) -> Iterator[Browse]:
    """A browser's client; `browse("viewer")` is signed in."""
    clients: list[httpx.Client] = []

    def make(name: str | None = None) -> httpx.Client:
        client = httpx.Client(base_url=base_url, headers={"Origin": base_url}, timeout=60)
        clients.append(client)
        if name is not None:
            assert sign_in(client, name).status_code == 303
        return client

    yield make
    for client in clients:
        client.close()
    with transaction(engine) as session:
        session.query(SignInAttempt).delete()


def sign_in(client: httpx.Client, name: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    return client.post("/console/sign-in", data={"name": name, "password": password, **fields})


def token_of(client: httpx.Client) -> str:
    found = re.search(r'name="csrf-token" content="([0-9a-f]+)"', client.get("/console/batches").text)
    assert found is not None
    return found[1]


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, data={"csrf_token": token_of(client), **fields})


def test_password_opens_console(browse: Browse) -> None:
    assert "Batches" in browse("viewer").get("/console/batches").text


def test_key_opens_console(browse: Browse, make_key: Callable[..., str]) -> None:
    client = browse()
    client.post("/console/sign-in", data={"key": make_key()})
    assert client.get("/console/batches").status_code == 200


def test_visitor_signs_in_first(browse: Browse) -> None:
    answer = browse().get("/console/batches?state=completed")
    assert answer.headers["location"].endswith("next=%2Fconsole%2Fbatches%3Fstate%3Dcompleted")


@pytest.mark.parametrize(("name", "password"), [("viewer", "wrong password"), ("nobody", PASSWORD)])
def test_failures_look_alike(browse: Browse, name: str, password: str) -> None:
    answer = sign_in(browse(), name, password)
    assert answer.status_code == 401
    assert "That did not work" in answer.text


def test_guessing_is_stopped(browse: Browse) -> None:
    client = browse()
    for _ in range(5):
        sign_in(client, "locked", "wrong password")
    assert sign_in(client, "locked").status_code == 429


def test_success_forgets_failures(browse: Browse) -> None:
    client = browse()
    for _ in range(2):
        for _ in range(4):
            sign_in(client, "locked", "wrong password")
        assert sign_in(client, "locked").status_code == 303


def test_cookie_is_kept_from_scripts(browse: Browse) -> None:
    cookie = sign_in(browse(), "viewer").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_sign_in_ends_session_before(browse: Browse) -> None:
    client = browse("viewer")
    planted = client.cookies["leaktrace_session"]
    sign_in(client, "viewer")
    stale = browse()
    stale.cookies.set("leaktrace_session", planted)
    assert stale.get("/console/batches").status_code == 303


def test_sign_out_ends_session(browse: Browse) -> None:
    client = browse("viewer")
    token = client.cookies["leaktrace_session"]
    send(client, "/console/sign-out")
    client.cookies.set("leaktrace_session", token)
    assert client.get("/console/batches").status_code == 303


@pytest.mark.parametrize("field", ["seen_at", "expires_at"])
def test_session_ends_by_clock(browse: Browse, engine: Engine, field: str) -> None:
    client = browse("viewer")
    with transaction(engine) as session:
        session.execute(update(ConsoleSession).values({field: datetime.now(UTC) - timedelta(hours=2)}))
    assert client.get("/console/batches").status_code == 303


def test_disabled_operator_is_out(browse: Browse, engine: Engine) -> None:
    client = browse("leaver")
    with transaction(engine) as session:
        disable_operator(session, "leaver")
    assert client.get("/console/batches").status_code == 303
    assert sign_in(client, "leaver").status_code == 401


def test_form_without_token_is_refused(browse: Browse, batch_id: str) -> None:
    assert browse("moderator").post(f"/console/batches/{batch_id}/cancel").status_code == 403


def test_form_from_elsewhere_is_refused(browse: Browse, batch_id: str) -> None:
    client = browse("moderator")
    form = {"csrf_token": token_of(client)}
    answer = client.post(
        f"/console/batches/{batch_id}/cancel", data=form, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403


def test_sign_in_from_elsewhere_is_refused(browse: Browse) -> None:
    client = browse()
    client.headers["Origin"] = "https://evil.example"
    assert sign_in(client, "viewer").status_code == 403


def test_token_of_another_is_refused(browse: Browse, batch_id: str) -> None:
    foreign = token_of(browse("viewer"))
    answer = browse("moderator").post(f"/console/batches/{batch_id}/cancel", data={"csrf_token": foreign})
    assert answer.status_code == 403


def test_moderator_cancels_batch(browse: Browse, batch_id: str, client: httpx.Client) -> None:
    send(browse("moderator"), f"/console/batches/{batch_id}/cancel")
    assert client.get(f"/v1/batches/{batch_id}").json()["state"] == "cancelled"


def test_viewer_changes_nothing(browse: Browse, batch_id: str) -> None:
    answer = send(browse("viewer"), f"/console/batches/{batch_id}/cancel")
    assert answer.status_code == 403
    assert "This is not yours to do" in answer.text


def test_session_reads_the_api(browse: Browse, batch_id: str) -> None:
    assert browse("viewer").get(f"/v1/batches/{batch_id}").status_code == 200


def test_session_changes_api_with_token(browse: Browse) -> None:
    client = browse("moderator")
    assert client.post("/v1/batches", json={}).json()["code"] == "forged_request"
    answer = client.post("/v1/batches", json={}, headers={"X-CSRF-Token": token_of(client)})
    assert answer.status_code == 201


def test_scope_of_role_holds_on_api(browse: Browse) -> None:
    client = browse("viewer")
    answer = client.post("/v1/batches", json={}, headers={"X-CSRF-Token": token_of(client)})
    assert answer.json()["code"] == "scope_missing"


def test_pages_forbid_frames_and_inline(browse: Browse) -> None:
    policy = browse().get("/console/sign-in").headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_other_tenants_batch_is_absent(browse: Browse, make_client: Callable[..., httpx.Client]) -> None:
    theirs = make_client(tenant="globex").post("/v1/batches", json={}).json()["id"]
    assert send(browse("moderator"), f"/console/batches/{theirs}/cancel").status_code == 404


def test_events_tell_of_change(browse: Browse, client: httpx.Client) -> None:
    with browse("viewer").stream("GET", "/console/events?topic=batches") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        assert next(line for line in lines if line.startswith(":"))
        client.post("/v1/batches", json={})
        assert next(line for line in lines if line.startswith("data")) == "data: batches"


def test_files_are_kept_for_ever(browse: Browse) -> None:
    path = re.search(r'href="(/console/static/[^"]+console\.css)"', browse().get("/console/sign-in").text)
    assert path is not None
    answer = browse().get(path[1])
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
