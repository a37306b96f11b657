"""Whether the service says truly what it lacks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.settings import Settings
from tests.integration.api.service import register_model, serve_app


def missing(url: str) -> set[str]:
    answer = httpx.get(f"{url}/readyz", timeout=30)
    body = answer.json()
    absent = {name for name, check in body["checks"].items() if not check["ok"]}
    assert (answer.status_code, body["ready"]) == ((200, True) if not absent else (503, False))
    return absent


def test_living_worker_makes_ready(base_url: str, engine: Engine) -> None:
    register_model(engine)
    assert missing(base_url) == set()


def test_silent_worker_is_missing(base_url: str, engine: Engine) -> None:
    register_model(engine, alive=False)
    assert missing(base_url) == {"workers"}


def test_old_density_is_stale(base_url: str, engine: Engine) -> None:
    register_model(engine, activated_at=datetime.now(UTC) - timedelta(days=2))
    assert missing(base_url) == {"density"}


@pytest.mark.parametrize(
    ("change", "absent"),
    [
        ({"broker_url": "redis://127.0.0.1:1/0"}, {"broker"}),
        ({"s3_endpoint_url": "http://127.0.0.1:1"}, {"store"}),
        ({"s3_bucket": "no-such-bucket"}, {"store"}),
        ({"database_url": "postgresql+psycopg://a:b@127.0.0.1:1/c"}, {"database", "workers", "density"}),
    ],
)
def test_absent_server_is_named(
    settings: Settings, engine: Engine, change: dict[str, Any], absent: set[str]
) -> None:
    register_model(engine)
    with serve_app(Settings.model_validate({**settings.model_dump(), **change})) as url:
        assert missing(url) == absent


def test_alive_without_any_server(settings: Settings) -> None:
    change = {"database_url": "postgresql+psycopg://a:b@127.0.0.1:1/c", "broker_url": "redis://127.0.0.1:1/0"}
    with serve_app(Settings.model_validate({**settings.model_dump(), **change})) as url:
        assert httpx.get(f"{url}/livez").json() == {"live": True}


def test_metrics_tell_the_queue(base_url: str, engine: Engine) -> None:
    register_model(engine)
    text = httpx.get(f"{base_url}/metrics").text
    for gauge in ("leaktrace_backlog_images", "leaktrace_workers_alive", "leaktrace_queue_depth"):
        assert f"\n{gauge} " in text


def test_absent_database_is_503(settings: Settings) -> None:
    change = {"database_url": "postgresql+psycopg://a:secret@127.0.0.1:1/c"}
    key = f"lk_live_{'0' * 16}_{'A' * 43}"
    with serve_app(Settings.model_validate({**settings.model_dump(), **change})) as url:
        answer = httpx.get(f"{url}/v1/batches", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert "secret" not in answer.text
