"""Liveness and readiness, apart: /livez looks at nothing, /readyz at all that processing a batch needs.

The checks run beside each other and are given a few seconds together, so that a server that hangs is a finding and
not a hanging probe.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from fastapi import APIRouter, Response

from api.dependencies import GivenServices, Services
from api.schemas import Check, Liveness, Readiness
from leaktrace.errors import Unavailable
from leaktrace.records.database import check_database, transaction
from leaktrace.records.readiness import (
    HEARTBEAT_SECONDS,
    MISSED_HEARTBEATS,
    count_living_workers,
    find_stale_models,
)

DEADLINE_SECONDS = 4.0

router = APIRouter(tags=["health"])


@router.get("/livez", response_model=Liveness)
async def livez() -> Liveness:
    """Say that the process answers. Looks at nothing else: restart the process when this fails, and only then."""
    return Liveness()


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
def readyz(services: GivenServices) -> Response:
    """Say whether batches would be processed now, and what is missing if not."""
    checks = run_checks(services)
    ready = all(check.ok for check in checks.values())
    body = Readiness(ready=ready, checks=checks).model_dump_json()
    return Response(body, 200 if ready else 503, media_type="application/json")


def run_checks(services: Services) -> dict[str, Check]:
    """All checks by name."""
    checks: dict[str, Callable[[Services], Check]] = {
        "database": _check_database,
        "broker": _check_broker,
        "store": _check_store,
        "workers": _check_workers,
        "density": _check_density,
    }
    pool = ThreadPoolExecutor(len(checks), thread_name_prefix="readiness")
    running = {name: pool.submit(check, services) for name, check in checks.items()}
    wait(running.values(), timeout=DEADLINE_SECONDS)
    pool.shutdown(wait=False)
    return {name: _outcome(check) for name, check in running.items()}


def _outcome(check: "Future[Check]") -> Check:
    if not check.done():
        return Check(ok=False, detail=f"did not answer within {DEADLINE_SECONDS:g} s")
    error = check.exception()
    if error is None:
        return check.result()
    if isinstance(error, Unavailable):
        return Check(ok=False, detail=type(error).code)  # the text may name addresses; it is for the logs
    return Check(ok=False, detail="failed")


def _check_database(services: Services) -> Check:
    check_database(services.engine)
    return Check(ok=True, detail="answers")


def _check_broker(services: Services) -> Check:
    services.queue.check()
    return Check(ok=True, detail="answers")


def _check_store(services: Services) -> Check:
    services.store.check()
    return Check(ok=True, detail="answers")


def _check_workers(services: Services) -> Check:
    with transaction(services.engine) as session:
        workers = count_living_workers(session)
    if workers == 0:
        seconds = HEARTBEAT_SECONDS * MISSED_HEARTBEATS
        return Check(ok=False, detail=f"no worker with a loaded model has reported in the last {seconds} s")
    return Check(ok=True, detail=f"{workers} alive")


def _check_density(services: Services) -> Check:
    stale_after_seconds = services.settings.density_stale_after_seconds
    with transaction(services.engine) as session:
        stale = find_stale_models(session, stale_after_seconds=stale_after_seconds)
    if stale:
        return Check(ok=False, detail=f"stale for {', '.join(stale)}: no refit has looked at it for too long")
    return Check(ok=True, detail="fresh")
