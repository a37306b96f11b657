"""The first page of the system: what waits, who works, how fast, what fails, and what a person should look at.

The figures are those of `/v1/status`: everybody's for those who run the service, else the tenant's own.
"""

from dataclasses import dataclass
from datetime import UTC
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.console.charts import stack_bars
from api.console.pages import render
from api.console.visitors import opens
from api.dependencies import GivenServices
from api.status import read_status
from api.status_schemas import MinuteStatus, Status
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.keys import SERVICE_ADMIN, TENANT_ADMIN

PACE_MINUTES = 5  # whole ones, over which the pace is taken

router = APIRouter(prefix="/system")
Administrator = Annotated[Visitor, opens(TENANT_ADMIN)]


@dataclass(frozen=True)
class Totals:
    """What the tiles say, of the last hour."""

    attributed: int
    failed: int
    pace: float  # images a minute, over the last whole minutes

    @property
    def failed_share(self) -> float:
        """Of all images that ended."""
        return self.failed / max(1, self.failed + self.attributed)


@router.get("")
def page(request: Request, services: GivenServices, visitor: Administrator) -> Response:
    """How the service is doing now. The page asks for itself again when something changed."""
    runs_service = SERVICE_ADMIN in visitor.caller.scopes
    now = read_status(services, None if runs_service else visitor.caller.tenant_id)
    columns = [(one.attributed, one.failed, _label(one)) for one in now.minutes]
    return render(
        request,
        "system.html",
        now=now,
        totals=total(now),
        chart=stack_bars(columns),
        runs_service=runs_service,
    )


def total(status: Status) -> Totals:
    """The last hour in three numbers; the running minute does not count for the pace."""
    whole = status.minutes[-1 - PACE_MINUTES : -1]
    return Totals(
        attributed=sum(one.attributed for one in status.minutes),
        failed=sum(one.failed for one in status.minutes),
        pace=sum(one.attributed for one in whole) / max(1, len(whole)),
    )


def _label(minute: MinuteStatus) -> str:
    return f"{minute.at.astimezone(UTC):%H:%M} UTC: {minute.attributed} attributed, {minute.failed} failed"
