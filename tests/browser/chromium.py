"""Finding a Chromium on this machine and starting it so that it talks to nobody but the page under test."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--metrics-recording-only",
]
MISSING = (
    "no Chromium was found, so the console's browser tests are NOT RUN: install one (Debian, Ubuntu: apt install "
    "chromium) or name it in LEAKTRACE_TEST_CHROMIUM"
)


def find_chromium() -> str | None:
    """The browser's path: the one that the environment names, or the first on PATH."""
    named = os.environ.get("LEAKTRACE_TEST_CHROMIUM")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


@contextmanager
def start_chromium(path: str) -> Iterator[Browser]:
    """The browser, headless, while the block runs."""
    switches = [*QUIET, "--no-sandbox"] if os.geteuid() == 0 else QUIET
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=switches, headless=True)
        try:
            yield browser
        finally:
            browser.close()
