"""Builds the HTTP service: its connections, its layers and its routes. The one place of `api` that reads settings.

Run it with `uvicorn api.app:create_app --factory`. It never imports torch: workers own the models.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI, Response

from api import (
    audit,
    batches,
    candidates,
    case_reports,
    density,
    drift,
    enrolments,
    generators,
    health,
    images,
    keys,
    labels,
    maps,
    models,
    pictures,
    refits,
    rescores,
    results,
    review,
    status,
    summaries,
    tenants,
    uploads,
    webhooks,
)
from api.console.app import create_console
from api.cursors import CursorSeal
from api.dependencies import Services
from api.documentation import add_documentation
from api.errors import add_error_handlers
from api.limits import Backlog, BodyLimit
from api.metrics import Metrics, Reader
from api.request_context import RequestContext
from leaktrace import __version__
from leaktrace.logs import configure_logs
from leaktrace.objects import connect_store
from leaktrace.queue import ShardQueue, create_celery
from leaktrace.records.database import connect_database, transaction
from leaktrace.records.drift import latest_findings
from leaktrace.records.readiness import count_living_workers
from leaktrace.records.usage import count_backlog
from leaktrace.sealing import make_seal
from leaktrace.settings import Settings, load_settings

STORED_AT_ONCE = 16
# In the order in which the API's description tells them.
ROUTES = (
    batches,
    images,
    uploads,
    results,
    rescores,
    summaries,
    labels,
    pictures,
    review,
    case_reports,
    generators,
    maps,
    candidates,
    enrolments,
    density,
    refits,
    drift,
    models,
    webhooks,
    keys,
    tenants,
    audit,
    status,
    health,
)

DESCRIPTION = """Leaktrace finds out which generator made an image: create a batch, upload images, close it, poll it,
read its results. Every error is an RFC 9457 problem with a stable `code`."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app on the servers that the settings name; without settings they are read, and logging is set up."""
    if settings is None:
        settings = load_settings()
        _configure_process_logs(settings)
    services = connect_services(settings)
    metrics = _watch(Metrics(), services)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        services.engine.dispose()

    app = FastAPI(
        title="Leaktrace",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    for module in ROUTES:
        app.include_router(module.router)

    @app.get("/metrics", tags=["health"], response_class=Response)
    def metrics_page() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.mount("/console", create_console(services), name="console")
    add_documentation(app)
    add_error_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=settings.max_request_body_bytes)
    app.add_middleware(RequestContext, metrics=metrics)
    return app


def connect_services(settings: Settings) -> Services:
    """The connections of one process; none is opened yet."""
    engine = connect_database(settings)

    def count() -> int:
        with transaction(engine) as session:
            return count_backlog(session)

    return Services(
        settings=settings,
        engine=engine,
        store=connect_store(settings),
        queue=ShardQueue(create_celery(settings.broker_url.get_secret_value())),
        cursors=CursorSeal(settings.s3_secret_key.get_secret_value()),
        seal=make_seal(settings),
        backlog=Backlog(count),
        store_places=CapacityLimiter(STORED_AT_ONCE),
    )


def _watch(metrics: Metrics, services: Services) -> Metrics:
    def workers() -> int:
        with transaction(services.engine) as session:
            return count_living_workers(session)

    metrics.watch(
        {
            "leaktrace_backlog_images": ("Images queued or being attributed", services.backlog.images),
            "leaktrace_workers_alive": ("Workers with a loaded model and a recent heartbeat", workers),
            "leaktrace_queue_depth": ("Shard messages that wait in the broker", services.queue.length),
        }
    )

    def drift(column: str) -> Reader:
        def read() -> dict[tuple[str, ...], float]:
            with transaction(services.engine) as session:
                found = latest_findings(session)
            return {(one.kind, one.subject): float(getattr(one, column)) for one in found}

        return read

    labels = ("kind", "subject")
    metrics.watch_labelled(
        {
            "leaktrace_drift_alarm": ("1 while the newest look at drift raises it", labels, drift("alarm")),
            "leaktrace_drift_effect": ("How far the newest look finds images moved", labels, drift("effect")),
            "leaktrace_drift_p_value": ("How likely chance gives as much", labels, drift("p_value")),
        }
    )
    return metrics


def _configure_process_logs(settings: Settings) -> None:
    configure_logs(settings.log_level, service="api")
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
