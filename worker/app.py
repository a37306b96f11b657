"""The Celery app of worker and beat. The only place in the worker that reads the settings.

    celery -A worker.app:app worker
    celery -A worker.app:app beat

A worker is one process with threads, so that torch is never forked and its model is loaded once.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any

from celery import signals

from leaktrace.errors import LeaktraceError
from leaktrace.logs import configure_logs, get_logger
from leaktrace.queue import ATTRIBUTE_QUEUE, ShardQueue, create_celery
from leaktrace.settings import load_settings
from worker.halt import DRAIN_SECONDS
from worker.schedule import periodic_jobs

if TYPE_CHECKING:
    from worker.process import WorkerProcess

SHARDS_AT_A_TIME = 2

log = get_logger(__name__)
settings = load_settings()

app = create_celery(settings.broker_url.get_secret_value(), name="worker")
app.conf.update(
    # Imported when a worker starts; beat and the API send by name.
    include=["worker.tasks"],
    # Survives a broker that goes away while tasks run.
    broker_transport="worker.broker:Transport",
    # CUDA does not survive a fork, and threads share one model.
    worker_pool="threads",
    # The images of one shard are fetched while those of the other are on the device.
    worker_concurrency=SHARDS_AT_A_TIME,
    # Threads cannot be cancelled; the leases decide whether what runs through a lost connection still counts.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # Lowering it after a reconnect protects slow tasks from a second delivery, which a claim makes harmless here.
    worker_enable_prefetch_count_reduction=False,
    # One connection less that has to survive a broker's restart; Postgres knows what each worker does.
    worker_enable_remote_control=False,
    # A cold shutdown (SIGQUIT, a second Ctrl-C) also waits until what runs was given back.
    worker_soft_shutdown_timeout=DRAIN_SECONDS + 1,
    # A library that prints should not turn into log lines that look like ours.
    worker_redirect_stdouts=False,
    # A dead connection of beat's is noticed at the next job at the latest.
    beat_max_loop_interval=min(5.0, settings.sweep_interval_seconds),
    beat_schedule=periodic_jobs(settings),
)


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    configure_logs(settings.log_level, service="beat" if "beat" in sys.argv else "worker")
    logging.getLogger("celery").setLevel(logging.WARNING)  # two lines a task say less than ours


@signals.worker_init.connect
def _start(**_: Any) -> None:
    configure_logs(settings.log_level, service="worker")  # Celery itself does so only after this
    from worker import process  # in no other process than a worker's: it brings the science along

    try:
        process.start(settings, ShardQueue(app))
    except LeaktraceError as error:
        log.critical("worker_cannot_start", code=error.code, error=str(error))
        raise SystemExit(f"this worker cannot start: {error}") from error


def _current() -> "WorkerProcess":
    from worker.process import current

    return current()


@signals.worker_ready.connect
def _ready(**_: Any) -> None:
    _current().ready(takes_shards=ATTRIBUTE_QUEUE in app.amqp.queues.consume_from)


@signals.worker_shutting_down.connect
def _halt(**_: Any) -> None:
    _current().halt()


@signals.worker_shutdown.connect
def _stop(**_: Any) -> None:
    _current().stop()
