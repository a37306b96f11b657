"""The console's main navigation: one entry a page, shown to those who may open it."""

from dataclasses import dataclass

from leaktrace.records.console_sessions import Visitor
from leaktrace.records.keys import TENANT_ADMIN


@dataclass(frozen=True)
class Entry:
    """One entry; `name` is what a page calls itself to be marked as the current one, and the name of its icon."""

    name: str
    title: str
    path: str
    scope: str


NAVIGATION = (
    Entry("batches", "Batches", "/console/batches", "batches:read"),
    Entry("review", "Review", "/console/review", "labels:write"),
    Entry("generators", "Generators", "/console/generators", "generators:read"),
    Entry("models", "Models", "/console/models", "density:read"),
    Entry("system", "System", "/console/system", TENANT_ADMIN),
)


def entries_for(visitor: Visitor | None) -> tuple[Entry, ...]:
    """What this visitor may open."""
    if visitor is None:
        return ()
    return tuple(entry for entry in NAVIGATION if entry.scope in visitor.caller.scopes)
