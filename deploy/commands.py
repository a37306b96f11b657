"""The command of each process of the service, after `python`: the one place that every way of running it follows.

The embedded stack runs these; docker-compose.yml repeats them, and a test compares. Knows nothing of the addresses of
servers or of secrets, which travel in the environment.
"""

from pathlib import Path

GRACEFUL_SECONDS = 5
CONCURRENCY = 2


def migrate() -> list[str]:
    return ["-m", "migrations.run"]


def api(*, host: str, port: int) -> list[str]:
    """The access log is off: the application writes its own line a request, with its id."""
    app = ["-m", "uvicorn", "api.app:create_app", "--factory"]
    listen = ["--host", host, "--port", str(port)]
    return [*app, *listen, "--no-access-log", "--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)]


def worker(*, concurrency: int = CONCURRENCY) -> list[str]:
    """Threads, because a GPU does not survive a fork and one process keeps one model in memory."""
    pool = ["--pool", "threads", "--concurrency", str(concurrency)]
    return ["-m", "celery", "-A", "worker.app:app", "worker", *pool, "--loglevel", "WARNING"]


def beat(*, schedule: Path) -> list[str]:
    """`schedule` is where it keeps when each job ran last; exactly one beat runs at a time."""
    return [
        "-m",
        "celery",
        "-A",
        "worker.app:app",
        "beat",
        "--schedule",
        str(schedule),
        "--loglevel",
        "WARNING",
    ]
