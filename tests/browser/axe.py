"""Asks axe-core, which lies beside the tests, what on a page keeps people from using it."""

from pathlib import Path

from playwright.sync_api import Page

AXE = (Path(__file__).parent / "vendor" / "axe.js").read_text()
GRAVE = ("serious", "critical")


def grave_faults(page: Page) -> list[str]:
    """Serious and critical faults: rule, and the elements that break it."""
    page.evaluate(AXE)  # not as an element: the page's policy lets nothing inline in
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{fault['id']}: {[node['html'][:120] for node in fault['nodes']]} {fault['nodes'][0]['failureSummary']}"
        for fault in found
        if fault["impact"] in GRAVE
    ]
