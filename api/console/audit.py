"""The page of the audit log: who did what to what, filtered, and the way to take it along.

The export links lead to `/v1/audit` with the same filter, so that a file holds what the page shows.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.auth import Breadth, tenant_of
from api.console.pages import render
from api.console.visitors import opens
from api.dependencies import GivenServices
from leaktrace.records.audit import AuditFilter, list_audit
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.keys import SERVICE_ADMIN, TENANT_ADMIN

SHOWN = 50
FAMILIES = ("batch", "key", "tenant", "operator", "webhook", "generator", "density", "label", "model")

router = APIRouter(prefix="/system/audit")
Reader = Annotated[Visitor, opens(TENANT_ADMIN)]
Text = Annotated[str, Query(max_length=200)]


@router.get("")
def page(
    request: Request,
    services: GivenServices,
    visitor: Reader,
    of: Breadth = "tenant",
    kind: Text = "",
    actor: Text = "",
    subject: Text = "",
    first_day: Text = "",
    last_day: Text = "",
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """The newest events that fit, or those before one."""
    action = f"{kind}." if kind in FAMILIES else None
    since, until = _midnight(first_day), _midnight(last_day, later=timedelta(days=1))
    chosen = AuditFilter(action, actor.strip() or None, subject.strip() or None, since, until)
    with transaction(services.engine) as session:
        found = list_audit(
            session, tenant_of(visitor.caller, of), chosen=chosen, limit=SHOWN + 1, before=before
        )
    asked = {
        "of": of, "kind": kind, "actor": actor, "subject": subject, "first_day": first_day, "last_day": last_day
    }  # fmt: skip
    return render(
        request,
        "audit.html",
        events=found[:SHOWN],
        older=found[SHOWN - 1][0].id if len(found) > SHOWN else None,
        families=FAMILIES,
        asked=asked,
        is_filtered=any(value for name, value in asked.items() if name != "of"),
        query=urlencode({name: value for name, value in asked.items() if value}),
        export=f"/v1/audit?{urlencode(_api_query(chosen, of))}",
        may_see_all=SERVICE_ADMIN in visitor.caller.scopes,
    )


def _api_query(chosen: AuditFilter, of: Breadth) -> dict[str, str]:
    texts = {"action": chosen.action, "actor": chosen.actor, "subject": chosen.subject}
    times = {"since": chosen.since, "until": chosen.until}
    return {
        "of": of,
        **{name: value for name, value in texts.items() if value is not None},
        **{name: value.isoformat() for name, value in times.items() if value is not None},
    }


def _midnight(day: str, *, later: timedelta = timedelta(0)) -> datetime | None:
    """The beginning of a day (UTC) as a date field sends it; what is no date does not filter."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC) + later
    except (ValueError, OverflowError):
        return None
