"""A worker process inside the test's own process, with the fake Attributor, on the real servers."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from leaktrace.objects import S3ObjectStore
from leaktrace.queue import ShardQueue, create_celery
from leaktrace.settings import Settings
from tests.attributors import FakeAttributor
from tests.submissions import Submissions
from worker.process import WorkerProcess
from worker.registration import register


@pytest.fixture(scope="module")
def queue(settings: Settings) -> ShardQueue:
    return ShardQueue(create_celery(settings.broker_url.get_secret_value()))


@pytest.fixture
def submissions(engine: Engine, store: S3ObjectStore, queue: ShardQueue) -> Submissions:
    return Submissions(engine, store, queue)


MakeWorker = Callable[..., WorkerProcess]


@pytest.fixture
def make_worker(
    settings: Settings, engine: Engine, store: S3ObjectStore, queue: ShardQueue
) -> Iterator[MakeWorker]:
    """Makes worker processes with any attributor, store or setting; all are stopped at the end."""
    made: list[WorkerProcess] = []

    def make(
        attributor: FakeAttributor | None = None, *, store: S3ObjectStore = store, **changes: object
    ) -> WorkerProcess:
        attributor = attributor or FakeAttributor()
        register(attributor, engine=engine, store=store)  # type: ignore[arg-type]
        changed = settings.model_copy(update=changes)
        made.append(WorkerProcess(changed, attributor, engine=engine, store=store, queue=queue))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for process in made:
        process.halt()
        process.stop()


@pytest.fixture
def worker(make_worker: MakeWorker) -> WorkerProcess:
    return make_worker()
