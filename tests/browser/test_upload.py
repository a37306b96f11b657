"""Submitting images from the page of batches, on the real service: folder to results, and what may go wrong between."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.axe import grave_faults
from tests.browser.conftest import NewPage, Service
from tests.browser.pictures import HOSTILE_NAME, make_archive, make_folder, numbered, unseen_picture

ATTRIBUTED_MILLISECONDS = 120_000


def choose_folder(page: Page, folder: Path) -> None:
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#upload-chosen")).to_be_visible()


def start(page: Page) -> None:
    page.get_by_role("button", name="Upload and attribute").click()


def opened_batch(page: Page) -> str:
    """The id of the batch that the page went on to."""
    page.wait_for_url("**/console/batches/*-*", timeout=30_000)
    return page.url.rsplit("/", 1)[1]


def test_folder_goes_all_the_way(new_page: NewPage, service: Service, tmp_path: Path) -> None:
    files = {**numbered(3), f"deeper/{HOSTILE_NAME}": unseen_picture()}
    folder = make_folder(tmp_path / "holiday", files, others=("notes.txt", ".hidden.png"))
    page = new_page("moderator")
    page.on("dialog", lambda dialog: pytest.fail(f"a name ran as a script: {dialog.message}"))
    page.goto("/console/batches")
    choose_folder(page, folder)
    expect(page.locator("#chosen-count")).to_contain_text("4 images")
    expect(page.get_by_label("Name of the batch")).to_have_value("holiday")
    start(page)
    batch_id = opened_batch(page)
    expect(page.locator(".state").first).to_have_text("completed", timeout=ATTRIBUTED_MILLISECONDS)
    expect(page.locator(".cell-name", has_text=HOSTILE_NAME)).to_be_visible(timeout=10_000)
    results = list(service.client.results(batch_id))
    assert sorted(result.custom_id for result in results) == sorted(files)
    assert {result.state for result in results} == {"succeeded"}


def test_dropped_files_are_offered(new_page: NewPage) -> None:
    page = new_page("moderator")
    page.goto("/console/batches")
    transfer = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            for (const name of ["a.png", "b.webp", "notes.txt"]) transfer.items.add(new File(["bytes"], name));
            return transfer;
        }"""
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#chosen-count")).to_contain_text("2 images")
    expect(page.locator("#chosen-passed")).to_contain_text("1 other")


def test_archive_is_unpacked_here(new_page: NewPage, service: Service, tmp_path: Path) -> None:
    files = {f"inside/{name}": data for name, data in numbered(2).items()}
    page = new_page("moderator")
    page.goto("/console/batches")
    page.locator("#files").set_input_files(make_archive(tmp_path / "packed.zip", files))
    start(page)
    batch_id = opened_batch(page)
    assert sorted(result.custom_id for result in service.client.results(batch_id)) == sorted(files)


def test_unreachable_store_is_gone_around(new_page: NewPage, service: Service, tmp_path: Path) -> None:
    page = new_page("moderator")
    page.route(f"{service.stack.settings().s3_endpoint_url}/**", lambda route: route.abort())
    page.goto("/console/batches")
    choose_folder(page, make_folder(tmp_path / "around", numbered(3)))
    start(page)
    assert service.client.batch(opened_batch(page)).counts.total == 3


def test_broken_upload_goes_on(new_page: NewPage, service: Service, tmp_path: Path) -> None:
    """Three of five arrive, the page is left, and what has arrived is not sent again."""
    folder = make_folder(tmp_path / "broken", numbered(5))
    store = f"{service.stack.settings().s3_endpoint_url}/**"
    page = new_page("moderator")
    left = [3]

    def pass_three(route: Route) -> None:
        left[0] -= 1
        if left[0] >= 0:
            route.continue_()  # the others never end, as on a line that died

    page.route(store, pass_three)
    page.goto("/console/batches")
    choose_folder(page, folder)
    start(page)
    expect(page.locator("#running-says")).to_contain_text("3 of 5", timeout=20_000)
    page.close(run_before_unload=False)

    page = new_page("moderator")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/console/batches")
    page.get_by_role("button", name="Resume").first.click()
    choose_folder(page, folder)
    start(page)
    batch_id = opened_batch(page)
    assert service.client.batch(batch_id).counts.total == 5
    assert 0 < len([url for url in sent if not url.startswith(service.url)]) <= 2


def test_refused_file_is_named(new_page: NewPage, service: Service, tmp_path: Path) -> None:
    page = new_page("moderator")
    failing = [True]
    page.route(
        f"{service.stack.settings().s3_endpoint_url}/**",
        lambda route: route.fulfill(status=403, body="no") if failing[0] else route.continue_(),
    )
    page.goto("/console/batches")
    choose_folder(page, make_folder(tmp_path / "refused", numbered(1)))
    start(page)
    expect(page.locator("#failed-files")).to_contain_text("picture-0.png")
    failing[0] = False
    page.get_by_role("button", name="Try these again").click()
    assert service.client.batch(opened_batch(page)).counts.total == 1


def test_broken_off_upload_offers_to_go_on(new_page: NewPage, tmp_path: Path) -> None:
    page = new_page("moderator")
    problem = {"code": "quota_exceeded", "detail": "the daily quota of images is used up"}
    page.route("**/v1/batches/*/uploads", lambda route: route.fulfill(status=429, json=problem))
    page.goto("/console/batches")
    choose_folder(page, make_folder(tmp_path / "quota", numbered(2)))
    start(page)
    expect(page.get_by_role("alert")).to_contain_text("quota of images is used up")
    expect(page.locator("#upload-resumed")).to_have_text("quota")


def test_other_archive_is_refused_in_words(new_page: NewPage, tmp_path: Path) -> None:
    (tmp_path / "all.tar.gz").write_bytes(b"anything")
    page = new_page("moderator")
    page.goto("/console/batches")
    page.locator("#files").set_input_files(tmp_path / "all.tar.gz")
    expect(page.get_by_role("alert")).to_contain_text("leaktrace submit")


def test_viewer_cannot_submit(new_page: NewPage) -> None:
    page = new_page("viewer")
    page.goto("/console/batches")
    expect(page.get_by_role("heading", name="Batches", level=1)).to_be_visible()
    expect(page.locator("#upload")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_upload_is_accessible(new_page: NewPage, tmp_path: Path, scheme: str) -> None:
    page = new_page("moderator", color_scheme=scheme)
    page.goto("/console/batches")
    faults = grave_faults(page)
    choose_folder(page, make_folder(tmp_path / "seen", numbered(1)))
    assert faults + grave_faults(page) == []
