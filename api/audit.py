"""The route of the audit trail: cursor pages, or all as NDJSON, CSV or Parquet, filtered by action, actor, time.

A stream reads page by page in short transactions, as that of results does.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import chain
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.administration_schemas import AuditEvent, AuditPage, build_event
from api.auth import GivenBreadth, TenantAdmin, tenant_of
from api.dependencies import GivenServices, Services
from api.documents import exports, problems
from api.parquet import ColumnType, write_rows
from api.result_formats import MEDIA_TYPES, Format, choose_format, write_ndjson, write_table
from api.schemas import Moment
from api.streaming import read_pages
from leaktrace.records.audit import AuditFilter, list_audit
from leaktrace.records.database import transaction

DEFAULT_LIMIT = 100
COLUMNS: dict[str, ColumnType] = {
    "id": "whole", "at": "moment", "tenant": "text", "actor": "text", "action": "text", "subject": "text",
    "details": "text",
}  # fmt: skip

router = APIRouter(prefix="/v1/audit", tags=["audit"])
Text = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]*$")]


@dataclass(frozen=True)
class Trail:
    """Which events of whom are wanted; `tenant_id` is None for everybody's."""

    services: Services
    tenant_id: UUID | None
    chosen: AuditFilter

    @property
    def name(self) -> tuple[object, ...]:
        """What a cursor is sealed with."""
        return ("audit", self.tenant_id, *astuple(self.chosen))

    def read(self, *, limit: int, before: int | None) -> list[AuditEvent]:
        """At most `limit` events, older than `before`."""
        with transaction(self.services.engine) as session:
            rows = list_audit(session, self.tenant_id, chosen=self.chosen, limit=limit, before=before)
            return [build_event(row) for row in rows]

    def pages(self, *, before: int | None, most: int | None) -> Iterator[list[AuditEvent]]:
        """All events older than `before`, or the first `most` of them, page by page."""
        return read_pages(
            lambda limit, behind: self.read(limit=limit, before=behind),
            lambda event: event.id,
            start=before,
            most=most,
        )


@router.get(
    "",
    response_model=AuditPage,
    responses={**exports(",".join(COLUMNS)), **problems(400, 406, 422)},
)
def audit(
    request: Request,
    services: GivenServices,
    caller: TenantAdmin,
    of: GivenBreadth = "tenant",
    action: Annotated[
        str | None,
        Query(pattern=r"^[a-z_]+\.[a-z_]*$", max_length=100, description="`key.revoked`, or `key.` for all."),
    ] = None,
    actor: Text = None,
    subject: Text = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Annotated[
        int | None, Query(ge=1, le=1000, description="JSON: 100 unless given. Streams: all.")
    ] = None,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
    format: Annotated[Format | None, Query(description="Overrides the Accept header.")] = None,
) -> Response:
    """Read what was done in your tenant, by whom and when, newest first. Nothing in it is ever changed."""
    kind = choose_format(format, accept=request.headers.get("accept"))
    chosen = AuditFilter(action, actor, subject, since, until)
    trail = Trail(services, tenant_of(caller, of), chosen)
    position = services.cursors.open(cursor, listing=trail.name)
    before = int(position) if position is not None else None
    if kind == "json":
        return _page(trail, limit=limit or DEFAULT_LIMIT, before=before)
    return _stream(trail, kind=kind, before=before, most=limit)


def _page(trail: Trail, *, limit: int, before: int | None) -> Response:
    found = trail.read(limit=limit + 1, before=before)
    page, further = trail.services.cursors.cut(
        found, limit, listing=trail.name, position=lambda event: event.id
    )
    body = AuditPage(data=page, next_cursor=further).model_dump_json()
    return Response(body, media_type="application/json", headers={"Vary": "Accept"})


def _stream(trail: Trail, *, kind: Format, before: int | None, most: int | None) -> Response:
    pages = trail.pages(before=before, most=most)
    read = chain([next(pages, [])], pages)  # the first before the answer begins, so that faults are problems
    headers = {"Vary": "Accept", "Content-Disposition": f'attachment; filename="audit.{kind}"'}
    return StreamingResponse(_write(read, kind), media_type=MEDIA_TYPES[kind], headers=headers)


def _write(pages: Iterable[list[AuditEvent]], kind: Format) -> Iterator[bytes]:
    if kind == "ndjson":
        return write_ndjson(pages)
    rows = ([_cells(event) for event in page] for page in pages)
    return write_rows(COLUMNS, rows) if kind == "parquet" else write_table(tuple(COLUMNS), rows)


def _cells(event: AuditEvent) -> list[object]:
    facts = (event.id, event.at, event.tenant, event.actor, event.action, event.subject)
    return [*facts, json.dumps(event.details)]
