"""The list of batches: live by events and by polling, and what may be done with a batch."""

from uuid import uuid4

from playwright.sync_api import Locator, Page, expect

from leaktrace.client.files import UploadFile
from tests.browser.conftest import NewPage, Service
from tests.browser.pictures import unseen_picture


def named(service: Service) -> tuple[str, str]:
    """A new batch that still takes uploads: its id and its name."""
    name = f"batch {uuid4().hex[:8]}"
    return service.client.create_batch(name=name).id, name


def row(page: Page, name: str) -> Locator:
    return page.locator(".row", has_text=name)


def confirm(page: Page, button: Locator) -> None:
    button.click()
    page.get_by_role("dialog").locator("#confirm-yes").click()


def test_list_follows_by_itself(new_page: NewPage, service: Service) -> None:
    page = new_page("viewer")
    page.goto("/console/batches")
    _, name = named(service)
    expect(row(page, name)).to_be_visible()


def test_list_polls_without_events(new_page: NewPage, service: Service) -> None:
    page = new_page("viewer")
    page.route("**/console/events*", lambda route: route.fulfill(status=503))
    page.goto("/console/batches")
    _, name = named(service)
    expect(row(page, name)).to_be_visible()


def test_batch_is_cancelled_then_deleted(new_page: NewPage, service: Service) -> None:
    batch_id, name = named(service)
    list(service.client.upload(batch_id, [UploadFile.from_bytes(unseen_picture(), custom_id="one")]))
    page = new_page("moderator")
    page.goto("/console/batches")
    confirm(page, row(page, name).get_by_role("button", name="Cancel"))
    expect(page.get_by_role("status").first).to_contain_text("being cancelled")
    confirm(page, row(page, name).get_by_role("button", name="Delete"))
    expect(page.get_by_role("status").first).to_contain_text("being deleted")
    expect(row(page, name)).to_have_count(0, timeout=60_000)


def test_answer_survives_a_live_update(new_page: NewPage, service: Service) -> None:
    _, name = named(service)
    page = new_page("moderator")
    page.goto("/console/batches")
    row(page, name).get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    _, other = named(service)
    expect(row(page, other)).to_be_attached()
    page.locator("#confirm-yes").click()
    expect(page.get_by_role("status").first).to_contain_text("being cancelled")


def test_failed_images_are_retried(new_page: NewPage, service: Service) -> None:
    batch_id, name = named(service)
    cut = UploadFile.from_bytes(unseen_picture()[:2000], custom_id="cut")
    list(service.client.upload(batch_id, [cut]))
    service.client.close(batch_id)
    service.client.wait(batch_id, timeout_seconds=120)
    page = new_page("moderator")
    page.goto("/console/batches")
    row(page, name).get_by_role("button", name="Retry failed").click()
    expect(page.get_by_role("status").first).to_contain_text("queued again")
    service.client.wait(batch_id, timeout_seconds=120)
    assert service.client.batch(batch_id).counts.failed == 1


def test_left_upload_is_closed(new_page: NewPage, service: Service) -> None:
    batch_id, name = named(service)
    list(service.client.upload(batch_id, [UploadFile.from_bytes(unseen_picture(), custom_id="one")]))
    page = new_page("moderator")
    page.goto("/console/batches")
    confirm(page, row(page, name).get_by_role("button", name="Close"))
    expect(page.get_by_role("status").first).to_contain_text("takes no more images")
    assert service.client.batch(batch_id).state != "uploading"


def test_viewer_changes_nothing(new_page: NewPage, service: Service) -> None:
    _, name = named(service)
    page = new_page("viewer")
    page.goto("/console/batches")
    expect(row(page, name)).to_be_visible()
    expect(row(page, name).get_by_role("button")).to_have_count(0)
