"""What every page of the console has: sign-in, themes, keyboard, and no way in through a frame or a text."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.axe import grave_faults
from tests.browser.conftest import NewPage, Service, sign_in


def test_operator_signs_in_and_out(new_page: NewPage, service: Service) -> None:
    page = new_page()
    sign_in(page, service.url, "moderator")
    expect(page.get_by_role("heading", name="Batches", level=1)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()


def test_key_signs_in(new_page: NewPage, service: Service) -> None:
    page = new_page()
    page.goto("/console/sign-in")
    page.get_by_text("Sign in with an API key").click()
    page.get_by_label("API key").fill(service.stack.key)
    page.get_by_role("button", name="Sign in with the key").click()
    expect(page.get_by_role("heading", name="Batches", level=1)).to_be_visible()


def test_refused_sign_in_says_so(new_page: NewPage, service: Service) -> None:
    page = new_page()
    sign_in(page, service.url, "moderator", "not the password")
    expect(page.get_by_role("alert")).to_contain_text("That did not work")


def test_theme_switch_is_kept(new_page: NewPage) -> None:
    page = new_page("viewer", color_scheme="light")
    page.goto("/console/batches")
    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_first_tab_skips_navigation(new_page: NewPage) -> None:
    page = new_page("viewer")
    page.goto("/console/batches")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/console/sign-in", "/console/nothing-here"])
def test_frame_is_accessible(new_page: NewPage, scheme: str, path: str) -> None:
    page = new_page(color_scheme=scheme)
    page.goto(path)
    assert grave_faults(page) == []


@pytest.fixture
def foreign_page(service: Service) -> Iterator[str]:
    """The address of another site's page that puts the console into a frame."""
    body = f'<iframe src="{service.url}/console/batches"></iframe>'.encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_console_refuses_foreign_frames(service: Service, browser: object, foreign_page: str) -> None:
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(foreign_page)
    page.wait_for_timeout(300)
    assert all(not frame.url.startswith(service.url) for frame in page.frames[1:])
    page.close()


def test_pages_ask_no_other_host(new_page: NewPage, service: Service) -> None:
    page = new_page("moderator")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/console/batches")
    page.wait_for_timeout(300)
    assert [url for url in asked if not url.startswith((service.url, "blob:"))] == []
