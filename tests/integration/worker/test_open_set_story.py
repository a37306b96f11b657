"""The story of an unknown generator, end to end: over HTTP, on the real servers, with a synthetic model's worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, select

from benchmarks.open_set_story import Cast, Story, tell
from leaktrace.client import Client, UploadFile
from leaktrace.records.database import transaction
from leaktrace.records.keys import create_key, ensure_tenant
from leaktrace.records.models import Shard
from leaktrace.settings import Settings
from tests.integration.api.service import serve_app
from tests.integration.worker.conftest import MakeWorker
from tests.synthetic import CLASSES, SyntheticAttributor, picture_of
from worker.process import WorkerProcess

ROUND_SECONDS = 0.2


def pictures(generator: str, *, count: int, seed: int) -> list[UploadFile]:
    return [
        UploadFile.from_bytes(picture_of(generator, seed + row), custom_id=f"{generator}/{seed + row}.png")
        for row in range(count)
    ]


@contextmanager
def at_work(worker: WorkerProcess, engine: Engine) -> Iterator[None]:
    """What broker and beat would have the worker do, as long as the block runs."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(ROUND_SECONDS):
            with transaction(engine) as session:
                waiting = list(session.scalars(select(Shard.id).where(Shard.state == "queued")))
            for shard_id in waiting:
                worker.attribute_shard(shard_id)
            for job in (worker.discover, worker.enrol, worker.rescore):
                job()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def story(make_worker: MakeWorker, settings: Settings, engine: Engine) -> Story:
    worker = make_worker(SyntheticAttributor("story-000000000000"), quarantine_age_seconds=0.0)
    with transaction(engine) as session:
        key = create_key(session, ensure_tenant(session, "story"), name="story")
    known = [file for name in CLASSES for file in pictures(name, count=12, seed=70_000)]
    cast = Cast(
        "gamma", known, pictures("gamma", count=60, seed=71_000), pictures("gamma", count=20, seed=72_000)
    )
    with serve_app(settings) as url, Client(url, key) as client, at_work(worker, engine):
        return tell(client, cast)


@pytest.mark.timeout(300)
def test_unknown_generator_is_found_named_and_taken_back(story: Story) -> None:
    assert (story.first, story.unseen, story.unnamed) == (60, 60, 60)
    assert story.candidate is not None
    assert (story.own, story.grown) == (1.0, 60)
    assert (story.enrolled, story.outcome) == (True, story.outcome)
    assert (story.attributed or 0) / story.second >= 0.9
    assert (story.named or 0) >= 30
    assert (story.flips or 0) / (story.named or 1) <= 0.005
    assert story.restored
