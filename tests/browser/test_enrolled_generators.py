"""What people do with generators that they enrolled: merge two, split one, take one back; a worker answers."""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select, update

from leaktrace.records.database import transaction
from leaktrace.records.models import Attribution, Item
from leaktrace.records.open_set_models import EnrolledImage, Enrolment
from tests.browser.conftest import NewPage, Service
from tests.browser.pictures import attribute, numbered

IMAGES = 2
Enrol = Callable[..., None]


@pytest.fixture(scope="module")
def attributions(service: Service) -> list[Attribution]:
    """What was said of two images."""
    batch_id = UUID(attribute(service.client, numbered(IMAGES)))
    with transaction(service.engine) as session:
        items = select(Attribution).join(Item, Item.attribution_id == Attribution.id)
        return list(session.scalars(items.where(Item.batch_id == batch_id)))


@pytest.fixture
def enrol(service: Service, attributions: list[Attribution]) -> Iterator[Enrol]:
    """Makes generators that stand, each of the same two images; none stands after the test."""

    def make(*names: str) -> None:
        one = attributions[0]
        with transaction(service.engine) as session:
            for name in names:
                enrolment = Enrolment(
                    tenant_id=one.tenant_id,
                    change_id=uuid4(),
                    model_version=one.model_version,
                    name=name,
                    state="active",
                    replaces=[],
                    reason="for a test",
                    actor="test",
                )
                session.add(enrolment)
                session.flush()
                session.add_all(
                    EnrolledImage(enrolment_id=enrolment.id, image_id=each.image_id) for each in attributions
                )

    yield make
    with transaction(service.engine) as session:
        session.execute(update(Enrolment).where(Enrolment.state == "active").values(state="undone"))


def row_of(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def confirm(page: Page, question: str) -> None:
    expect(page.locator("#confirm-question")).to_contain_text(question)
    page.locator("#confirm-yes").click()


def decision_on(page: Page, name: str) -> Locator:
    return page.locator(".decision").filter(has_text=name).first


def test_merge_is_asked_and_measured(new_page: NewPage, enrol: Enrol) -> None:
    enrol("alpha-1", "alpha-2")
    page = new_page("researcher")
    page.goto("/console/generators")
    row = row_of(page, "alpha-1")
    row.get_by_text("Merge", exact=True).first.click()
    row.get_by_label("Into").select_option("alpha-2")
    row.get_by_role("form", name="Merge alpha-1").get_by_label("Why").fill("two names of one")
    row.get_by_role("button", name="Merge").click()
    confirm(page, "Make alpha-1 part of the other generator?")
    expect(page.get_by_text("The merge is asked for")).to_be_visible()
    expect(decision_on(page, "alpha-2")).to_contain_text("refused", timeout=30_000)  # of two images


def test_split_is_asked_and_measured(new_page: NewPage, enrol: Enrol) -> None:
    enrol("beta-1")
    page = new_page("researcher")
    page.goto("/console/generators")
    row_of(page, "beta-1").get_by_role("link", name="Split").click()
    expect(page.get_by_role("heading", name="Split beta-1")).to_be_visible()
    page.get_by_role("checkbox").first.check()
    page.get_by_label("Name of the new generator").fill("beta-2")
    page.get_by_label("Why").fill("another version made it")
    page.get_by_role("button", name="Split").click()
    confirm(page, "Make the chosen images a generator of their own?")
    expect(page.get_by_text("both parts stand or fall together")).to_be_visible()
    for name in ("beta-1", "beta-2"):
        expect(decision_on(page, name)).to_contain_text("refused", timeout=30_000)


def test_undone_generator_is_taken_back(new_page: NewPage, enrol: Enrol) -> None:
    enrol("gamma-1")
    page = new_page("researcher")
    page.goto("/console/generators")
    row = row_of(page, "gamma-1")
    row.get_by_text("Undo", exact=True).click()
    row.get_by_label("Why").fill("the batch was mixed")
    row.get_by_role("button", name="Take back").click()
    confirm(page, "Take gamma-1 back?")
    expect(page.get_by_text("It is being taken back")).to_be_visible()
    expect(decision_on(page, "gamma-1")).to_contain_text("taken back", timeout=30_000)
    page.reload()
    expect(row_of(page, "gamma-1")).to_have_count(0)
