"""The page of one batch: its charts, its filters, and a wall of 100,000 pictures by mouse and by keyboard."""

import re
from uuid import UUID

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from leaktrace.client.files import UploadFile
from leaktrace.records.database import transaction
from tests.browser.axe import grave_faults
from tests.browser.conftest import NewPage, Service
from tests.browser.pictures import HOSTILE_NAME, unseen_picture

MANY = 100_000
HOSTILE_TEXT = "<script>alert(1)</script>"
MOST_CELLS = 200
MIDDLE = re.compile("item-0(49|50)")


@pytest.fixture(scope="module")
def attributed(service: Service) -> str:
    """A completed batch of three pictures and a broken file, with hostile names and metadata."""
    client = service.client
    batch = client.create_batch(name=HOSTILE_TEXT, metadata={"<b>note</b>": HOSTILE_TEXT})
    files = {f"a/{n}.png": unseen_picture() for n in range(3)} | {HOSTILE_NAME: unseen_picture()[:2000]}
    list(
        client.upload(batch.id, [UploadFile.from_bytes(data, custom_id=name) for name, data in files.items()])
    )
    client.close(batch.id)
    client.wait(batch.id, timeout_seconds=120)
    return str(batch.id)


@pytest.fixture(scope="module")
def huge(service: Service, attributed: str) -> str:
    """A batch of 100,000 items that show the pictures of the small one."""
    batch = service.client.create_batch(name="a hundred thousand")
    insert = """
        INSERT INTO items (tenant_id, batch_id, custom_id, state, image_id, attribution_id, finished_at)
        SELECT s.tenant_id, :huge, 'item-' || lpad(n::text, 6, '0'), 'succeeded', s.image_id, s.attribution_id, now()
        FROM generate_series(0, :many - 1) AS n
        JOIN (SELECT *, row_number() OVER (ORDER BY custom_id) - 1 AS place FROM items
              WHERE batch_id = :small AND state = 'succeeded') AS s ON s.place = n % 3"""
    with transaction(service.engine) as session:
        session.execute(text(insert), {"huge": batch.id, "small": UUID(attributed), "many": MANY})
    return str(batch.id)


def test_hostile_texts_are_shown(new_page: NewPage, attributed: str) -> None:
    page = new_page("viewer")
    page.on("dialog", lambda dialog: pytest.fail(f"a text ran as a script: {dialog.message}"))
    page.goto(f"/console/batches/{attributed}")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE_TEXT)
    page.get_by_text("Metadata of the submitter").click()
    expect(page.locator(".metadata")).to_contain_text(HOSTILE_TEXT)
    expect(page.locator(".cell-name", has_text=HOSTILE_NAME)).to_be_visible()


def test_thumbnails_are_blurred_until_hovered(new_page: NewPage, attributed: str) -> None:
    page = new_page("viewer")
    page.goto(f"/console/batches/{attributed}")
    image = page.locator(".cell img").last
    page.wait_for_function("image => image.naturalWidth > 0", arg=image.element_handle())
    assert "blur" in image.evaluate("image => getComputedStyle(image).filter")
    image.hover()
    page.wait_for_function("image => getComputedStyle(image).filter === 'none'", arg=image.element_handle())


def test_filters_live_in_the_address(new_page: NewPage, attributed: str) -> None:
    page = new_page("viewer")
    page.goto(f"/console/batches/{attributed}")
    page.get_by_label("Failed because").select_option("truncated")
    page.wait_for_url("**error_code=truncated**")
    expect(page.locator("#wall-says")).to_contain_text("1 picture.")
    assert "error_code=truncated" in str(page.get_by_role("link", name="CSV").get_attribute("href"))


def test_exports_are_files(new_page: NewPage, attributed: str) -> None:
    page = new_page("viewer")
    page.goto(f"/console/batches/{attributed}")
    for name in ("CSV", "NDJSON", "Parquet"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.suggested_filename == f"results-{attributed}.{name.lower()}"


def test_wall_of_many_stays_small(new_page: NewPage, huge: str) -> None:
    page = new_page("viewer")
    page.goto(f"/console/batches/{huge}")
    expect(page.locator("#wall-says")).to_contain_text("100\u202f000 pictures", timeout=30_000)
    expect(page.locator(".cell-name").first).to_have_text("item-000000")
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    expect(page.locator(".cell-name", has_text=MIDDLE).first).to_be_visible()
    assert page.locator(".cell").count() < MOST_CELLS


def test_wall_is_found_where_it_was_left(new_page: NewPage, huge: str) -> None:
    page = new_page("viewer")
    page.goto(f"/console/batches/{huge}")
    first = page.locator('[data-index="0"]')
    expect(first.locator(".cell-name")).to_have_text("item-000000", timeout=30_000)
    first.focus()
    page.keyboard.press("Control+End")
    last = page.locator(f'[data-index="{MANY - 1}"]')
    expect(last.locator(".cell-name")).to_have_text("item-099999")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/images/*")
    page.go_back()
    expect(last.locator(".cell-name")).to_have_text("item-099999", timeout=30_000)
    expect(last).to_be_in_viewport()


def test_wall_is_walked_by_keyboard(new_page: NewPage, huge: str) -> None:
    page = new_page("viewer")
    page.goto(f"/console/batches/{huge}")
    first = page.locator('[data-index="0"]')
    expect(first.locator(".cell-name")).to_have_text("item-000000", timeout=30_000)
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('[data-index="1"]')).to_be_focused()
    page.keyboard.press("Control+End")
    last = page.locator(f'[data-index="{MANY - 1}"]')
    expect(last).to_be_focused()
    expect(last.locator(".cell-name")).to_have_text("item-099999")
    assert str(last.get_attribute("href")).startswith("/console/images/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_batch_page_is_accessible(new_page: NewPage, attributed: str, scheme: str) -> None:
    page = new_page("moderator", color_scheme=scheme)
    page.goto(f"/console/batches/{attributed}")
    expect(page.locator(".cell-name").first).to_be_visible()
    assert grave_faults(page) == []
