"""The route of the service's status: queue, workers, throughput, latency, failures, alarms.

The same figures as on the console's page. Queue and workers are shared by all tenants; what is counted is the caller's.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import APIRouter

from api.alarms import find_alarms
from api.auth import GivenBreadth, TenantAdmin, tenant_of
from api.dependencies import GivenServices, Services
from api.documents import problems
from api.status_schemas import (
    FailureStatus,
    MinuteStatus,
    QueueStatus,
    SpreadStatus,
    Status,
    WorkerStatus,
)
from leaktrace.errors import Unavailable
from leaktrace.records.database import transaction
from leaktrace.records.readiness import list_workers
from leaktrace.records.traffic import count_failures, stage_seconds, traffic_by_minute, waiting_seconds

MINUTES = 60
FAILURES_WITHIN = timedelta(days=1)

router = APIRouter(prefix="/v1/status", tags=["status"])


@router.get("", response_model=Status, responses=problems(422))
def status(services: GivenServices, caller: TenantAdmin, of: GivenBreadth = "tenant") -> Status:
    """Say how the service is doing: what waits, who works, how fast, what fails, and what a person should look at."""
    return read_status(services, tenant_of(caller, of))


def read_status(services: Services, tenant_id: UUID | None) -> Status:
    """The figures of a tenant, or (None) of all."""
    now = datetime.now(UTC)
    last_hour = now - timedelta(minutes=MINUTES)
    with transaction(services.engine) as session:
        minutes = traffic_by_minute(session, tenant_id, minutes=MINUTES)
        stages = stage_seconds(session, tenant_id, since=last_hour)
        waiting = waiting_seconds(session, tenant_id, since=last_hour)
        failures = count_failures(session, tenant_id, since=now - FAILURES_WITHIN)
        workers = list_workers(session, seen_after=last_hour)
    return Status(
        queue=QueueStatus(messages=_messages(services), images=services.backlog.images()),
        workers=[WorkerStatus.model_validate(one) for one in workers],
        minutes=[MinuteStatus.model_validate(one) for one in minutes],
        stages={name: SpreadStatus.model_validate(one) for name, one in stages.items()},
        waiting=SpreadStatus.model_validate(waiting) if waiting is not None else None,
        failures=[FailureStatus.model_validate(one) for one in failures],
        alarms=find_alarms(services, tenant_id, minutes=minutes),
    )


def _messages(services: Services) -> int | None:
    try:
        return services.queue.length()
    except Unavailable:
        return None
