"""The pages of models and densities: the time line, the reasons, the card, and going back to the density before."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from leaktrace.passwords import hash_password
from leaktrace.records.audit import AuditFilter, list_audit
from leaktrace.records.database import transaction
from leaktrace.records.densities import active_density
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import ModelVersion
from leaktrace.records.operators import create_operator
from leaktrace.science.model_folder import read_card, resolve_folder
from tests.browser.axe import grave_faults
from tests.browser.conftest import PASSWORD, NewPage, Service, sign_in

LABORATORY = "laboratory"
FIRST, SECOND = "own-laboratory-1", "own-laboratory-2"
GATES = [
    {"name": "a", "passed": True, "measured": 0.0, "limit": 0.01, "detail": "recall stays as it was"},
    {"name": "b", "passed": False, "measured": 0.2, "limit": 0.01, "detail": "9 of 45 answers change"},
]
OpenLaboratory = Callable[[], Page]


@pytest.fixture(scope="module")
def _laboratory(service: Service) -> None:
    """A tenant with two densities of its own and one that was refused; it has no images, so no worker loads them."""
    now = datetime.now(UTC)
    with transaction(service.engine) as session:
        tenant_id = ensure_tenant(session, LABORATORY)
        model = session.scalars(select(ModelVersion.version)).one()
        shared = active_density(session, model)
        assert shared is not None
        password_hash = hash_password(PASSWORD)
        create_operator(session, tenant_id, name="curie", role="researcher", password_hash=password_hash)
        for days, version, state in (
            (4, FIRST, "retired"),
            (2, SECOND, "active"),
            (1, "own-refused", "rejected"),
        ):
            at = now - timedelta(days=days)
            session.add(
                DensityVersion(
                    version=version,
                    model_version=model,
                    tenant_id=tenant_id,
                    state=state,
                    object_key=shared.object_key,
                    sha256=shared.sha256,
                    known_images=900,
                    details={"base": shared.version},
                    reason="enrolled <b>flux-3</b>",
                    gates=GATES if state == "rejected" else [],
                    outcome="9 of 45 answers change" if state == "rejected" else None,
                    created_at=at,
                    activated_at=None if state == "rejected" else at,
                    retired_at=None if state == "active" else now - timedelta(hours=12),
                )
            )


@pytest.fixture
def laboratory(new_page: NewPage, service: Service, _laboratory: None) -> OpenLaboratory:
    """Its researcher's browser, signed in."""

    def open_() -> Page:
        page = new_page()
        sign_in(page, service.url, "curie")
        return page

    return open_


def test_models_tell_what_judges(new_page: NewPage) -> None:
    page = new_page("viewer")
    page.goto("/console/models")
    expect(page.get_by_text("The density that the model was published with.").first).to_be_visible()
    expect(page.get_by_role("img", name="active from").first).to_be_visible()
    expect(page.get_by_text("Drift has not been measured yet.")).to_be_visible()


def test_refusal_is_told_in_words(laboratory: OpenLaboratory) -> None:
    page = laboratory()
    page.goto("/console/models")
    page.get_by_text("1 of 2 gates not passed").click()
    expect(page.get_by_text("Not passed: 9 of 45 answers change")).to_be_visible()
    expect(page.get_by_text("Enrolled <b>flux-3</b>.").first).to_be_visible()


def test_card_shows_figures_with_intervals(new_page: NewPage) -> None:
    page = new_page("viewer")
    page.goto("/console/models")
    page.get_by_role("link", name="Card of starter").click()
    expect(page.get_by_role("heading", name="What it cannot do")).to_be_visible()
    row = page.get_by_role("row", name="Macro AUC").first
    measured = read_card(resolve_folder("starter"))["metrics"]["neutral"]["closed_set"]["macro_auc"]
    expect(row).to_contain_text("{value:.3f} ({low:.3f}–{high:.3f})".format(**measured))


def test_density_is_rolled_back_with_a_reason(laboratory: OpenLaboratory, service: Service) -> None:
    page = laboratory()
    page.goto("/console/models")
    page.get_by_role("link", name="Roll your density back").click()
    expect(page.get_by_role("region", name="Would answer then")).to_contain_text(FIRST)
    page.get_by_label("Reason").fill("the batch was mixed")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status")).to_contain_text("Rolled back.")
    with transaction(service.engine) as session:
        tenant_id = ensure_tenant(session, LABORATORY)
        active = session.get_one(DensityVersion, FIRST)
        (event, _), *_ = list_audit(
            session, tenant_id, chosen=AuditFilter(action="density.rolled_back"), limit=1
        )
    assert (active.state, event.actor, event.details["reason"]) == (
        "active",
        "operator:curie",
        "the batch was mixed",
    )


@pytest.mark.parametrize("role", ["viewer", "moderator"])
def test_viewer_rolls_nothing_back(new_page: NewPage, role: str) -> None:
    page = new_page(role)
    page.goto("/console/models")
    expect(page.get_by_role("link", name="Roll")).to_have_count(0)
    expect(page.get_by_text("Ask for a refit now")).to_have_count(0)
    page.goto("/console/models/rollback?scope=own")
    expect(page.get_by_role("heading", name="This is not yours to do")).to_be_visible()


def test_researcher_leaves_everybodys_density_alone(new_page: NewPage) -> None:
    page = new_page("researcher")
    page.goto("/console/models/rollback?scope=shared")
    expect(page.get_by_role("heading", name="This is not yours to do")).to_be_visible()


@pytest.mark.parametrize(
    ("role", "words"), [("viewer", "This is not yours to do"), ("admin", "does not fit")]
)
def test_density_in_force_is_not_promoted(new_page: NewPage, service: Service, role: str, words: str) -> None:
    page = new_page(role)
    page.goto("/console/models")
    version = page.locator(".line-name a").last.inner_text()
    token = page.locator('meta[name="csrf-token"]').get_attribute("content")
    answer = page.request.post(
        f"/console/models/densities/{version}/promote",
        form={"reason": "try it", "csrf_token": str(token)},
        headers={"Origin": service.url},
    )
    assert words in answer.text()


def test_first_density_stays(new_page: NewPage) -> None:
    page = new_page("admin")
    page.goto("/console/models/rollback?scope=shared")
    expect(page.get_by_text("there is no earlier density to go back to")).to_be_visible()


def test_forged_rollback_is_refused(laboratory: OpenLaboratory, service: Service) -> None:
    page = laboratory()
    fields = {"scope": "own", "reason": "forged", "csrf_token": "0" * 64}
    for origin in (service.url, "https://evil.example"):
        answer = page.request.post("/console/models/rollback", form=fields, headers={"Origin": origin})
        assert answer.status == 403


def test_admin_asks_for_a_refit(new_page: NewPage) -> None:
    page = new_page("admin")
    page.goto("/console/models")
    page.get_by_text("Ask for a refit now").click()
    page.get_by_label("Reason").fill("we looked at them")
    page.get_by_role("button", name="Ask for it").click()
    expect(page.get_by_role("status")).to_contain_text("The refit is asked for")
    expect(page.get_by_text("asked by operator:admin").first).to_be_visible()


@pytest.mark.parametrize("path", ["", "/rollback?scope=own", f"/densities/{SECOND}"])
def test_models_cannot_be_framed(laboratory: OpenLaboratory, path: str) -> None:
    headers = laboratory().request.get(f"/console/models{path}").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.usefixtures("_laboratory")
def test_other_tenants_density_is_unknown(new_page: NewPage) -> None:
    page = new_page("admin")
    page.goto(f"/console/models/densities/{SECOND}")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_models_are_accessible(laboratory: OpenLaboratory, scheme: str) -> None:
    page = laboratory()
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto("/console/models")
    card = page.get_by_role("link", name="Card of starter").get_attribute("href")
    for path in ("/console/models", card, "/console/models/densities/own-refused"):
        page.goto(str(path))
        assert grave_faults(page) == []
