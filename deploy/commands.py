"""The command of each process of the service, after `python`, and the options that keep the object store closed.

The one place that every way of running it follows: the embedded stack uses these; docker-compose.yml repeats them, and
a test compares. Knows nothing of the addresses of
servers or of secrets, which travel in the environment.
"""

from pathlib import Path

GRACEFUL_SECONDS = 5
CONCURRENCY = 2
# Of `weed mini`. Without -disableHttp the filer port serves every object to anyone; telemetry is on unless told.
OBJECT_STORE_OPTIONS = (
    "-disableHttp",
    "-webdav=false",
    "-admin.ui=false",
    "-s3.iam=false",
    "-s3.autoCreateBucket=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
)
# Environment of `weed`: with these set, blobs are given and taken only with a token, over gRPC too.
OBJECT_STORE_SIGNING_KEYS = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)


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
