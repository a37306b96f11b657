"""The pages of the system: who may open them, what they show, and that a secret is seen once."""

import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from leaktrace.records.database import transaction
from leaktrace.records.keys import TENANT_ADMIN, create_key, ensure_tenant
from tests.browser.axe import grave_faults
from tests.browser.conftest import TENANT, NewPage, Service

PATHS = ["", "/keys", "/webhooks", "/audit", "/tenants"]


@pytest.fixture
def admin(new_page: NewPage) -> Page:
    return new_page("admin")


def make_key(page: Page, name: str, *scopes: str) -> str:
    """The key that the page shows."""
    page.goto("/console/system/keys")
    page.get_by_text("New key").click()
    page.get_by_label("What it is for").fill(name)
    for scope in scopes:
        page.get_by_role("checkbox", name=scope).check()
    page.get_by_role("button", name="Make the key").click()
    return page.locator("#secret").inner_text()


def test_status_names_living_workers(admin: Page) -> None:
    admin.goto("/console/system")
    expect(admin.get_by_role("heading", name="System", level=1)).to_be_visible()
    expect(admin.locator("#system-now").get_by_text("alive", exact=True).first).to_be_visible()
    expect(admin.get_by_text("starter-density").first).to_be_visible()


def test_status_refreshes_itself(admin: Page) -> None:
    admin.goto("/console/system")
    with admin.expect_response(re.compile(r"/console/system$"), timeout=20_000) as answer:
        admin.evaluate("document.querySelector('#system-now h2').textContent = 'stale'")
    assert answer.value.status == 200
    expect(admin.get_by_text("stale")).to_have_count(0)


@pytest.mark.parametrize("role", ["viewer", "moderator", "researcher"])
def test_others_are_refused_with_words(new_page: NewPage, role: str) -> None:
    page = new_page(role)
    page.goto("/console/system")
    expect(page.get_by_role("heading", name="This is not yours to do")).to_be_visible()
    expect(page.get_by_role("link", name="System")).to_have_count(0)
    assert {page.request.get(f"/console/system{path}").status for path in PATHS} == {403}


def test_key_is_shown_once(admin: Page) -> None:
    key = make_key(admin, "night shift")
    assert key.startswith("lk_live_")
    admin.goto("/console/system/keys")
    expect(admin.get_by_role("heading", name="night shift")).to_be_visible()
    assert key not in admin.content()


def test_untrusted_key_says_so(admin: Page) -> None:
    make_key(admin, "labeller", "labels:write")
    expect(admin.get_by_text("Labels made with this key never count")).to_be_visible()


def test_revoked_key_is_no_longer_taken(admin: Page, service: Service) -> None:
    key = make_key(admin, "short-lived")
    admin.get_by_role("listitem").filter(has_text="short-lived").get_by_role("button", name="Revoke").click()
    admin.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(admin.get_by_text("The key is revoked.")).to_be_visible()
    asked = urllib.request.Request(f"{service.url}/v1/batches", headers={"Authorization": f"Bearer {key}"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(asked)


def test_tenant_admin_sees_own_tenant_alone(new_page: NewPage, service: Service) -> None:
    with transaction(service.engine) as session:
        tenant_id = ensure_tenant(session, "newsroom")
        key = create_key(session, tenant_id, name="desk", scopes=(TENANT_ADMIN, "webhooks:read"))
    page = new_page()
    page.goto("/console/sign-in?next=/console/system/audit")
    page.get_by_text("Sign in with an API key").click()
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in with the key").click()
    expect(page.get_by_role("cell", name="key.created")).to_have_count(1)
    expect(page.get_by_role("link", name="Tenants")).to_have_count(0)
    page.goto("/console/system/audit?of=service")
    expect(page.get_by_role("heading", name="This is not yours to do")).to_be_visible()


def test_quota_is_set_for_a_tenant(admin: Page) -> None:
    admin.goto("/console/system/tenants")
    admin.get_by_text("New tenant").click()
    admin.get_by_label("Name").fill("archive")
    admin.get_by_role("button", name="Make the tenant").click()
    row = admin.get_by_role("listitem").filter(has=admin.get_by_role("heading", name="archive"))
    row.get_by_label("Images a day of archive").fill("1 500")
    row.get_by_role("button", name="Set quota").click()
    expect(row.get_by_text("0 / 1\N{NARROW NO-BREAK SPACE}500 today")).to_be_visible()


def test_webhook_is_made_tried_and_replayed(admin: Page) -> None:
    admin.goto("/console/system/webhooks")
    admin.get_by_text("New webhook").click()
    admin.get_by_label("Address").fill("https://hooks.invalid/leaktrace")
    admin.get_by_role("button", name="Make the webhook").click()
    assert admin.locator("#secret").inner_text().startswith("whsec_")
    admin.get_by_role("button", name="Send a test event").click()
    expect(admin.get_by_role("heading", name="webhook.test")).to_be_visible()
    assert "whsec_" not in admin.content()
    admin.get_by_role("button", name="Replay").click()
    admin.get_by_role("button", name="Send again", exact=True).click()
    expect(admin.get_by_role("status")).to_be_visible()


def test_audit_log_is_filtered_and_exported(admin: Page) -> None:
    make_key(admin, "audited")
    admin.goto("/console/system/audit?kind=key&actor=operator%3Aadmin")
    assert set(admin.locator("tbody td:nth-child(2)").all_inner_texts()) == {"operator:admin"}
    with admin.expect_download() as download:
        admin.get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "id,at,tenant,actor,action,subject,details"
    assert f",{TENANT},operator:admin,key.created," in lines[1]


@pytest.mark.parametrize("path", ["keys", "tenants", "webhooks"])
def test_forged_change_is_refused(new_page: NewPage, path: str) -> None:
    page = new_page("admin")
    page.goto("/console/system")
    fields = {
        "name": "forged",
        "url": "https://hooks.invalid/",
        "scopes": "batches:read",
        "csrf_token": "0" * 64,
    }
    answer = page.request.post(
        f"/console/system/{path}", form=fields, headers={"Origin": page.url.rsplit("/", 2)[0]}
    )
    assert (answer.status, "forged" in page.request.get(f"/console/system/{path}").text()) == (403, False)


def test_system_cannot_be_framed(admin: Page) -> None:
    for path in PATHS:
        headers = admin.request.get(f"/console/system{path}").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["cache-control"]) == ("DENY", "no-store")


def test_names_are_text_and_never_markup(admin: Page) -> None:
    make_key(admin, "<img src=x onerror=alert(1)>")
    admin.goto("/console/system/keys")
    expect(admin.get_by_role("heading", name="<img src=x onerror=alert(1)>")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_system_is_accessible(new_page: NewPage, scheme: str) -> None:
    page = new_page("admin", color_scheme=scheme)
    for path in PATHS:
        page.goto(f"/console/system{path}")
        assert grave_faults(page) == []
