"""The Celery app as worker and beat see it: light to import, with one short door for every name that is sent."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leaktrace.queue import (
    ATTRIBUTE_SHARD,
    CHALLENGE,
    DELETE_BATCHES,
    DELIVER,
    DISCOVER,
    DRAW_MAPS,
    ENROL,
    EXPIRE_BATCHES,
    REFIT_DENSITY,
    RESCORE,
    SWEEP,
    TIDY_STORE,
    WATCH_DRIFT,
)
from leaktrace.settings import Settings
from worker.schedule import periodic_jobs

ROOT = Path(__file__).parents[3]
ADDRESSES = {
    "LEAKTRACE_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none",
    "LEAKTRACE_BROKER_URL": "redis://127.0.0.1:9/0",
    "LEAKTRACE_S3_ACCESS_KEY": "a",
    "LEAKTRACE_S3_SECRET_KEY": "b",
}
LONGEST_DOOR_LINES = 10


def answer_of(program: str) -> object:
    """What a process of its own prints as JSON, since the app reads its settings when it is imported."""
    environment = {**os.environ, **ADDRESSES}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    return json.loads(run.stdout)


@pytest.fixture
def settings() -> Settings:
    values = {name.removeprefix("LEAKTRACE_").lower(): value for name, value in ADDRESSES.items()}
    return Settings.model_validate(values)


def test_beat_brings_no_science() -> None:
    heavy = answer_of(
        "import sys, json, worker.app;"
        "print(json.dumps([m for m in ('torch', 'sklearn', 'PIL', 'diffusers') if m in sys.modules]))"
    )
    assert heavy == []


def test_every_name_has_its_door() -> None:
    names = answer_of(
        "import json, worker.tasks; from worker.app import app;"
        "print(json.dumps(sorted(n for n in app.tasks if n.startswith('leaktrace.'))))"
    )
    assert names == sorted(
        [
            CHALLENGE,
            ATTRIBUTE_SHARD,
            DELETE_BATCHES,
            DELIVER,
            DISCOVER,
            DRAW_MAPS,
            ENROL,
            EXPIRE_BATCHES,
            REFIT_DENSITY,
            RESCORE,
            SWEEP,
            TIDY_STORE,
            WATCH_DRIFT,
        ]
    )


def test_worker_runs_on_threads() -> None:
    conf = answer_of(
        "import json; from worker.app import app; c = app.conf;"
        "print(json.dumps([c.worker_pool, c.worker_concurrency, c.task_acks_late, c.worker_prefetch_multiplier]))"
    )
    assert conf == ["threads", 2, True, 1]


def test_doors_stay_short() -> None:
    functions = [
        node
        for node in ast.walk(ast.parse((ROOT / "worker/tasks.py").read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert functions
    assert [
        door.name for door in functions if (door.end_lineno or 0) - door.lineno >= LONGEST_DOOR_LINES
    ] == []


def test_jobs_have_their_intervals(settings: Settings) -> None:
    jobs = periodic_jobs(settings)
    assert {name: job["schedule"] for name, job in jobs.items()} == {
        SWEEP: settings.sweep_interval_seconds,
        EXPIRE_BATCHES: settings.expiry_interval_seconds,
        REFIT_DENSITY: settings.refit_interval_seconds,
        RESCORE: settings.rescore_interval_seconds,
        DISCOVER: settings.discovery_interval_seconds,
        ENROL: settings.enrolment_interval_seconds,
        DELETE_BATCHES: settings.deletion_interval_seconds,
        TIDY_STORE: settings.tidy_interval_seconds,
        CHALLENGE: settings.challenge_interval_seconds,
        DELIVER: settings.delivery_interval_seconds,
        WATCH_DRIFT: settings.drift_interval_seconds,
        DRAW_MAPS: settings.map_interval_seconds,
    }


def test_missed_jobs_expire_in_time(settings: Settings) -> None:
    assert all(job["options"]["expires"] == job["schedule"] for job in periodic_jobs(settings).values())
