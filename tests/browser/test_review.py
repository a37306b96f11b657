"""Reviewing by keyboard alone: answers, undo, two people at once, and one label for many images."""

from collections.abc import Callable
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from leaktrace.records.database import transaction
from leaktrace.records.models import Attribution, Item
from tests.browser.axe import grave_faults
from tests.browser.conftest import NewPage, Service
from tests.browser.pictures import attribute, unseen_picture

ATTACK = "<img src=x onerror=\"document.title='taken'\">"
MakeBatch = Callable[..., str]


@pytest.fixture
def make_batch(service: Service) -> MakeBatch:
    """Attributes images and has the model say so of each; gives the batch's id."""

    def make(*verdicts: str) -> str:
        files = {f"{at} {ATTACK}": unseen_picture() for at in range(len(verdicts))}
        batch_id = attribute(service.client, files)
        with transaction(service.engine) as session:
            items = select(Item).where(Item.batch_id == UUID(batch_id)).order_by(Item.custom_id)
            for item, verdict in zip(session.scalars(items).all(), verdicts, strict=True):
                statement = update(Attribution).where(Attribution.image_id == item.image_id)
                session.execute(statement.values(verdict=verdict, generator=None))
        return batch_id

    return make


def begin(page: Page, batch_id: str) -> None:
    page.goto(f"/console/review?batch_id={batch_id}")
    expect(page.locator("#review[data-claim]")).to_be_visible()


def labels_of(service: Service, batch_id: str) -> dict[str, str | None]:
    """What stands of each image that somebody judged, by the beginning of its custom_id."""
    return {
        result.custom_id.split()[0]: result.label.generator
        for result in service.client.results(batch_id)
        if result.label is not None
    }


def test_keys_answer_and_undo(new_page: NewPage, service: Service, make_batch: MakeBatch) -> None:
    batch_id = make_batch("inconclusive", "unseen")
    page = new_page("moderator")
    begin(page, batch_id)
    expect(page.get_by_role("heading", name="No known generator fits")).to_be_focused()
    page.keyboard.press("r")
    page.keyboard.type("hands like these")
    page.keyboard.press("Enter")
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="The evidence does not decide")).to_be_visible()
    assert labels_of(service, batch_id) == {"1": None}
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Nothing waits here")).to_be_visible()
    second = page.locator('[data-key="u"]')
    assert len(labels_of(service, batch_id)) == 2
    second.press("u")
    expect(page.get_by_role("heading", name="The evidence does not decide")).to_be_visible()
    assert labels_of(service, batch_id) == {"1": None}
    history = service.client.labels(image_id_of(service, batch_id, "1"))
    assert [(each.reason, each.actor) for each in history] == [("hands like these", "operator:moderator")]
    assert page.title() == "Review · Leaktrace"


def image_id_of(service: Service, batch_id: str, custom_id: str) -> str:
    (found,) = [each for each in service.client.results(batch_id) if each.custom_id.startswith(custom_id)]
    assert found.image is not None
    return found.image.id


def test_skipped_image_is_taken_back(new_page: NewPage, make_batch: MakeBatch) -> None:
    page = new_page("moderator")
    begin(page, make_batch("unseen", "inconclusive"))
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="The evidence does not decide")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="No known generator fits")).to_be_visible()


def test_two_people_see_two_images(new_page: NewPage, make_batch: MakeBatch) -> None:
    batch_id = make_batch("unseen", "unseen")
    pages = [new_page("moderator"), new_page("researcher")]
    for page in pages:
        begin(page, batch_id)
    seen = {page.locator(".review-picture img").get_attribute("src") for page in pages}
    assert len(seen) == 2
    third = new_page("admin")
    third.goto(f"/console/review?batch_id={batch_id}")
    expect(third.get_by_role("heading", name="Nothing waits here")).to_be_visible()
    pages[0].goto("/console/batches")  # leaving gives the image back
    third.reload()
    expect(third.locator("#review[data-claim]")).to_be_visible()


def test_many_are_labelled_and_undone(new_page: NewPage, service: Service, make_batch: MakeBatch) -> None:
    batch_id = make_batch("unseen", "unseen", "inconclusive")
    page = new_page("moderator")
    page.goto(f"/console/review/bulk?batch_id={batch_id}&verdict=unseen")
    page.get_by_label("They are").select_option("generator:real")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("heading", name="2 images would be labelled")).to_be_visible()
    assert labels_of(service, batch_id) == {}
    page.get_by_role("button", name="Label 2 images").click()
    page.locator("#confirm-yes").click()
    expect(page.get_by_text("2 images were labelled.")).to_be_visible()
    assert labels_of(service, batch_id) == {"0": "real", "1": "real"}
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("2 labels taken back.")).to_be_visible()
    assert labels_of(service, batch_id) == {}


def test_keys_can_be_switched_off(new_page: NewPage, service: Service, make_batch: MakeBatch) -> None:
    batch_id = make_batch("unseen")
    page = new_page("moderator")
    begin(page, batch_id)
    page.get_by_label("Keys").uncheck()
    page.keyboard.press("n")
    page.wait_for_timeout(300)
    assert labels_of(service, batch_id) == {}


def test_viewer_is_refused(new_page: NewPage) -> None:
    page = new_page("viewer")
    page.goto("/console/review")
    expect(page.get_by_role("heading", name="This is not yours to do")).to_be_visible()
    assert page.get_by_role("link", name="Review").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_review_is_accessible(new_page: NewPage, make_batch: MakeBatch, scheme: str) -> None:
    page = new_page("moderator", color_scheme=scheme)
    begin(page, make_batch("unseen"))
    assert grave_faults(page) == []
    page.goto("/console/review/bulk?largest_p=1&said=none")
    assert grave_faults(page) == []
