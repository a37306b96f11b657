"""What the console's pages weigh and how soon they can be used, in a real browser on the real service.

    python -m benchmarks.console [--number 48] [--chromium PATH]

A batch is submitted first, so that pages have something to show. Each page is opened twice: by a browser that was never
there, and by one that was. Requests: also those that the browser's memory answers. Weight: bytes over the wire, headers
included, until nothing came for a second. Interactive: the document is parsed, deferred scripts have run, and no task
of the page kept the browser longer than 50 ms from then on. Pages that the visitor may not open are left out.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from api.console.navigation import NAVIGATION
from benchmarks.pictures import distinct_images, uploads
from deploy.embedded.servers import remove_data
from deploy.embedded.stack import Stack
from leaktrace.client import Client
from tests.browser.chromium import MISSING, find_chromium, start_chromium

PAGES = (
    "/console/sign-in",
    *(entry.path for entry in NAVIGATION),
    "/console/batches/{batch}",
    "/console/images/{image}",
    "/console/system/webhooks",
    "/console/system/keys",
    "/console/system/audit",
    "/console/system/tenants",
)
QUIET_MILLISECONDS = 1000
WATCH_LONG_TASKS = """
    window.longTaskEnds = [];
    new PerformanceObserver((list) => {
      for (const task of list.getEntries()) window.longTaskEnds.push(task.startTime + task.duration);
    }).observe({ type: "longtask", buffered: true });
"""
INTERACTIVE = """() => {
    const parsed = performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd;
    return Math.max(parsed, ...window.longTaskEnds);
}"""
FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


@dataclass(frozen=True)
class Visit:
    """One opening of a page."""

    requests: int
    kilobytes: float
    painted_ms: float
    interactive_ms: float


@contextmanager
def weighed(page: Page) -> Iterator[dict[str, float]]:
    """Counts the page's requests and the bytes that came over the wire for them."""
    seen = {"requests": 0.0, "bytes": 0.0}

    def count(event: dict[str, Any]) -> None:
        seen["requests"] += 1
        seen["bytes"] += event["encodedDataLength"]

    protocol = page.context.new_cdp_session(page)
    protocol.send("Network.enable")
    protocol.on("Network.loadingFinished", count)
    yield seen
    protocol.detach()


def visit(context: BrowserContext, path: str) -> Visit | None:
    """Open a page in a new tab; None when there is no such page."""
    page = context.new_page()
    page.add_init_script(WATCH_LONG_TASKS)
    with weighed(page) as seen:
        answer = page.goto(path)
        before = -1.0
        while before < seen["requests"]:
            before = seen["requests"]
            page.wait_for_timeout(QUIET_MILLISECONDS)
    found = None
    if answer is not None and answer.ok:
        found = Visit(
            requests=int(seen["requests"]),
            kilobytes=seen["bytes"] / 1000,
            painted_ms=page.evaluate(FIRST_PAINT),
            interactive_ms=page.evaluate(INTERACTIVE),
        )
    page.close()
    return found


def signed_in(browser: Browser, stack: Stack) -> BrowserContext:
    """A new browser in which somebody has signed in, and whose memory of our files is empty again."""
    context = browser.new_context(base_url=stack.api_url)
    page = context.new_page()
    page.goto("/console/sign-in")
    page.get_by_text("Sign in with an API key").click()
    page.get_by_label("API key").fill(stack.key)
    page.get_by_role("button", name="Sign in with the key").click()
    page.wait_for_url("**/console/batches")
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.close()
    return context


def submit(stack: Stack, *, number: int) -> dict[str, str]:
    """A batch that is done; the ids that the pages' addresses need."""
    client = Client(stack.api_url, stack.key)
    batch = client.create_batch(name="benchmark")
    list(client.upload(batch.id, uploads(distinct_images(None, number=number))))
    client.close(batch.id)
    client.wait(batch.id)
    image = next(result.image for result in client.results(batch.id) if result.image is not None)
    client.disconnect()
    return {"batch": batch.id, "image": image.id}


def measure(browser: Browser, stack: Stack, *, number: int) -> None:
    """Print a line a page."""
    ids = submit(stack, number=number)
    print(f"{'page':<28}{'':<8}{'requests':>9}{'kB':>9}{'painted':>11}{'interactive':>13}")
    for path in PAGES:
        address = path.format(**ids)
        fresh = browser.new_context(base_url=stack.api_url) if path == PAGES[0] else signed_in(browser, stack)
        for memory in ("new", "known"):
            found = visit(fresh, address)
            if found is not None:
                print(
                    f"{path:<28}{memory:<8}{found.requests:>9}{found.kilobytes:>9.1f}"
                    f"{found.painted_ms:>8.0f} ms{found.interactive_ms:>10.0f} ms"
                )
        fresh.close()


def main() -> None:
    """Start the service, measure, stop it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=48, help="pictures in the batch")
    parser.add_argument("--chromium", default=find_chromium(), help="the browser")
    chosen = parser.parse_args()
    if chosen.chromium is None:
        print(MISSING)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with Stack(data, preferred_port=None) as stack, start_chromium(chosen.chromium) as browser:
            measure(browser, stack, number=chosen.number)
        remove_data(data)


if __name__ == "__main__":
    main()
