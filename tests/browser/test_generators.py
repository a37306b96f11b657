"""The page of generators: a candidate is named and measured, a viewer may only look, and what does not exist yet is
said to be missing."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from leaktrace.records.database import transaction
from leaktrace.records.discovery_runs import record_run
from leaktrace.records.models import Attribution, Item
from leaktrace.records.open_set_models import Candidate, QuarantinedImage
from tests.browser.axe import grave_faults
from tests.browser.conftest import NewPage, Service
from tests.browser.pictures import attribute, numbered

MEMBERS = 3


@pytest.fixture(scope="module")
def candidate(service: Service) -> UUID:
    """A group of three quarantined images, as discovery leaves one."""
    batch_id = UUID(attribute(service.client, numbered(MEMBERS)))
    with transaction(service.engine) as session:
        items = select(Attribution).join(Item, Item.attribution_id == Attribution.id)
        found = session.scalars(items.where(Item.batch_id == batch_id)).all()
        one = found[0]
        group = Candidate(
            tenant_id=one.tenant_id,
            model_version=one.model_version,
            size=MEMBERS,
            previous_size=1,
            medoids=[str(each.image_id) for each in found],
            nearest_generator="sd-2.1",
            novelty=412.0,
            stability=0.9,
            confidence=0.8,
            sources={"batches": 2, "days": 1, "formats": 1, "confirmed": 2},
        )
        session.add(group)
        session.flush()
        session.add_all(
            QuarantinedImage(
                tenant_id=one.tenant_id,
                image_id=each.image_id,
                attribution_id=each.id,
                batch_id=batch_id,
                model_version=one.model_version,
                state="held",
                candidate_id=group.id,
                matures_at=each.created_at,
            )
            for each in found
        )
        record_run(session, one.tenant_id, model_version=one.model_version, images=MEMBERS, candidates=1)
        return group.id


def test_discovery_that_did_not_run(new_page: NewPage) -> None:
    page = new_page("viewer")
    page.goto("/console/generators")
    expect(page.get_by_role("heading", name="Discovery has not run yet")).to_be_visible()
    expect(page.get_by_role("rowheader", name="real")).to_be_visible()


@pytest.mark.usefixtures("candidate")
def test_candidate_is_named_and_measured(new_page: NewPage) -> None:
    page = new_page("researcher")
    page.goto("/console/generators")
    expect(page.get_by_role("heading", name="3 images without a name")).to_be_visible()
    page.get_by_text("Name it", exact=True).first.press("Enter")
    page.get_by_label("Name of the generator").fill("flux-3")
    page.get_by_label("Why").first.fill("the uploader says so")
    page.get_by_label("Why").first.press("Enter")
    expect(page.locator("#confirm-question")).to_contain_text("Make these 3 images a generator")
    page.locator("#confirm-yes").click()
    expect(page.get_by_text("Asked for. A worker measures")).to_be_visible()
    decision = page.locator(".decision").filter(has_text="flux-3")
    expect(decision).to_contain_text("refused", timeout=30_000)  # by itself, as the worker decides
    expect(decision.locator(".reasons")).to_contain_text("3")


@pytest.mark.usefixtures("candidate")
def test_known_name_is_refused(new_page: NewPage) -> None:
    page = new_page("researcher")
    page.goto("/console/generators")
    page.get_by_text("Name it", exact=True).first.click()
    page.get_by_label("Name of the generator").fill("real")
    page.get_by_label("Why").first.fill("a try")
    page.get_by_role("button", name="Name it").click()
    page.locator("#confirm-yes").click()
    expect(page.get_by_text("there is a generator real already")).to_be_visible()


def test_viewer_only_looks(new_page: NewPage, candidate: UUID) -> None:
    page = new_page("viewer")
    page.goto("/console/generators")
    expect(page.get_by_role("heading", name="3 images without a name")).to_be_visible()
    assert page.get_by_text("Name it").count() == 0
    status = page.evaluate(
        """async (path) => {
            const csrf_token = document.querySelector('meta[name="csrf-token"]').content;
            const body = new URLSearchParams({ csrf_token, name: "x", reason: "y" });
            return (await fetch(path, { method: "POST", body })).status;
        }""",
        f"/console/generators/candidates/{candidate}/name",
    )
    assert status == 403


@pytest.mark.usefixtures("candidate")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_generators_are_accessible(new_page: NewPage, scheme: str) -> None:
    page = new_page("researcher", color_scheme=scheme)
    page.goto("/console/generators")
    page.get_by_text("Name it", exact=True).first.click()
    assert grave_faults(page) == []


def test_map_is_drawn_and_opens_images(new_page: NewPage, service: Service, candidate: UUID) -> None:
    page = new_page("researcher")
    page.goto("/console/generators")
    page.get_by_role("button", name="Draw the map anew").click()
    expect(page.get_by_text("A worker draws the map anew")).to_be_visible()
    expect(page.locator("#map[data-places]:not([data-awaited])")).to_be_visible(timeout=40_000)
    assert int(page.locator("#map").get_attribute("data-places") or 0) >= MEMBERS
    page.get_by_text("The same as a table").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="candidate 1"))
    expect(row).to_contain_text(str(MEMBERS))
    place = next(one for one in read_map(service) if one["candidate_id"] == str(candidate))
    x, y = on_canvas(page, place)
    page.mouse.move(x, y)
    expect(page.locator(".map-tip img")).to_be_visible()
    page.mouse.click(x, y)
    page.wait_for_url("**/console/images/*")


def read_map(service: Service) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{service.url}/v1/generators/map", headers={"Authorization": f"Bearer {service.stack.key}"}
    )
    places: list[dict[str, Any]] = answer.json()["places"]
    return places


def on_canvas(page: Page, place: dict[str, Any]) -> tuple[float, float]:
    """Where an image lies on the screen while nothing was zoomed."""
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map").bounding_box()
    assert box is not None
    side = 0.92 * min(box["width"], box["height"])
    x = box["x"] + box["width"] / 2 + (place["x"] - 0.5) * side
    return x, box["y"] + box["height"] / 2 - (place["y"] - 0.5) * side
