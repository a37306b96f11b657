"""The page of one image: what it says, who may add to it, and texts of clients that must stay texts."""

from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from leaktrace.casefile import verify
from tests.browser.axe import grave_faults
from tests.browser.conftest import NewPage, Service

ATTACK = "\"><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def drawn() -> bytes:
    """A JPEG of smooth colours whose EXIF tries to be markup."""
    rows, columns = np.mgrid[0:320, 0:400]
    pixels = np.stack([rows / 320, columns / 400, (rows + columns) / 720], axis=-1)
    exif = Image.Exif()
    exif[271], exif[305] = f"Maker {ATTACK}", f"Software {ATTACK}"
    file = BytesIO()
    Image.fromarray((255 * pixels).astype(np.uint8)).save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


@pytest.fixture(scope="module")
def image_id(service: Service) -> str:
    """An attributed image whose batch, file name and custom_id all try to be markup."""
    client = service.client
    batch = client.create_batch(f"Batch {ATTACK}", metadata={"note": ATTACK})
    answer = httpx.post(
        f"{service.url}/v1/batches/{batch.id}/images",
        files=[("files", (f"{ATTACK}.jpg", drawn(), "image/jpeg", {"X-Custom-Id": ATTACK}))],
        headers={"Authorization": f"Bearer {service.stack.key}"},
        timeout=60,
    )
    assert answer.json()["data"][0]["status"] == "accepted"
    client.close(batch.id)
    client.wait(batch.id)
    (result,) = client.results(batch.id)
    assert result.image is not None
    return result.image.id


@pytest.fixture
def page(new_page: NewPage, image_id: str) -> Page:
    page = new_page("moderator")
    page.goto(f"/console/images/{image_id}")
    return page


def say(page: Page, kind: str, reason: str, generator: str | None = None) -> None:
    """Fill in the form as a person does."""
    page.get_by_role("radio", name=kind).check(force=True)
    if generator is not None:
        page.get_by_label("Made by").fill(generator)
    page.get_by_label("Why").fill(reason)
    page.get_by_role("button", name="Save").click()
    page.wait_for_load_state()


def test_verdict_is_called_evidence(page: Page) -> None:
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("This is evidence, not proof.")
    expect(verdict).to_contain_text("smallest attainable p")
    expect(page.get_by_role("heading", name="What decided", exact=True)).to_be_visible()


def test_picture_is_shown(page: Page) -> None:
    picture = page.locator("[data-picture] img")
    assert picture.evaluate("async (each) => { await each.decode(); return each.naturalWidth; }") == 400


def test_correction_and_appeal_are_kept(page: Page) -> None:
    say(page, "Correct", "the author told us", generator="sdxl-1.0")
    expect(page.locator("#labels")).to_contain_text("sdxl-1.0, corrected by operator:moderator")
    say(page, "Appeal", f"my own photograph {ATTACK}")
    expect(page.locator("#labels")).to_contain_text("An appeal is open: my own photograph")
    say(page, "Correct", "the raw file fits", generator="real")
    expect(page.locator("#labels")).not_to_contain_text("An appeal is open")
    assert page.locator(".history > li").count() >= 3
    assert page.title() != "taken"


def test_confirmation_is_kept(page: Page, service: Service, image_id: str) -> None:
    confirm = page.get_by_role("radio", name="Confirm")
    if service.client.attribution(image_id).verdict == "inconclusive":
        expect(confirm).to_have_count(0)
        return
    say(page, "Confirm", "seen it made")
    expect(page.locator(".history > li").first).to_contain_text("Confirmed")


def test_viewer_cannot_label(new_page: NewPage, image_id: str) -> None:
    page = new_page("viewer")
    page.goto(f"/console/images/{image_id}")
    expect(page.locator("#labels")).to_contain_text("Your role may read what people say")
    token = page.locator('meta[name="csrf-token"]').get_attribute("content")
    sent = page.request.post(
        f"/console/images/{image_id}/labels",
        form={"csrf_token": str(token), "kind": "appeal", "reason": "mine"},
        headers={"Origin": page.evaluate("location.origin")},
    )
    assert sent.status == 403


def test_forged_label_is_refused(page: Page, image_id: str) -> None:
    sent = page.request.post(
        f"/console/images/{image_id}/labels",
        form={"kind": "appeal", "reason": "mine"},
        headers={"Origin": "https://elsewhere.example"},
    )
    assert sent.status == 403


def test_provenance_stands_beside(page: Page) -> None:
    provenance = page.locator("#provenance")
    expect(provenance).to_contain_text("C2PA Content Credentials absent", timeout=30_000)
    expect(provenance).to_contain_text(f"Maker {ATTACK}")
    assert provenance.locator("img, script").count() == 0


def test_report_button_gives_checkable_file(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("link", name="Case report").click()
    assert verify(download.value.path()).images == 1


def test_clients_texts_stay_texts(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>document.title=")
    page.wait_for_timeout(200)
    assert page.locator("img[src='x'], main script").count() == 0
    assert page.title() != "taken"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible(new_page: NewPage, image_id: str, scheme: str) -> None:
    page = new_page("moderator", color_scheme=scheme)
    page.goto(f"/console/images/{image_id}")
    page.get_by_role("radio", name="Correct").check(force=True)
    assert grave_faults(page) == []


def test_narrow_page_does_not_scroll_sideways(new_page: NewPage, image_id: str) -> None:
    page = new_page("moderator", viewport={"width": 360, "height": 780})
    page.goto(f"/console/images/{image_id}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
