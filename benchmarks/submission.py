"""What submitting very many small files takes: files a second, processor time and memory of the submitting process.

    python -m benchmarks.submission [--number 100000] [--bytes 2000]

`leaktrace submit --no-wait` sends a folder to a real API with its servers; no worker runs, so nothing else is measured.
A tenth of the files goes first: memory should hardly grow from there. Then the same folder is submitted again as if the
process had been killed just before the end, which asks what has arrived, hashes every file and sends none.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy import commands
from deploy.embedded.servers import EmbeddedServers, remove_data
from deploy.embedded.stack import settings_from
from leaktrace.cli.journals import journal_path
from leaktrace.client import Client, files_in
from leaktrace.records.database import connect_database, transaction
from leaktrace.records.keys import create_key, ensure_tenant
from migrations.run import upgrade

SUBMIT = [sys.executable, "-c", "from leaktrace.cli import app; app()", "submit", "--no-wait"]
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
FILES_A_FOLDER = 1000
START_SECONDS = 120.0


@dataclass(frozen=True)
class Spent:
    """One run of the command."""

    seconds: float
    processor_seconds: float
    peak_megabytes: float


def main() -> None:
    """Submit a tenth, all, and all again; print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--number", type=int, default=100_000, help="files to submit")
    parser.add_argument("--bytes", type=int, default=2000, help="size of each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leaktrace-bench-") as directory:
        home = Path(directory)
        few, many = home / "few", home / "many"
        _fill(few, number=arguments.number // 10, size_bytes=arguments.bytes, series=0)
        _fill(many, number=arguments.number, size_bytes=arguments.bytes, series=1)
        with _service(home / "data") as (url, key):
            environment = {
                **os.environ,
                "LEAKTRACE_API_URL": url,
                "LEAKTRACE_API_KEY": key,
                "XDG_STATE_HOME": str(home / "state"),
            }
            _tell(f"{arguments.number // 10} files", arguments.number // 10, _spent(few, environment))
            _tell(f"{arguments.number} files", arguments.number, _spent(many, environment))
            _pretend_it_was_killed(many, url, key, home=home)
            _tell("the same again", arguments.number, _spent(many, environment))
        remove_data(home / "data")


def _fill(folder: Path, *, number: int, size_bytes: int, series: int) -> None:
    """Files that begin as a PNG does, which is all that is looked at; no two alike."""
    for place in range(number):
        path = folder / f"{place // FILES_A_FOLDER:03}" / f"{place:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((PNG_HEAD + b"%d-%d" % (series, place)).ljust(size_bytes, b"\0"))


@contextmanager
def _service(data_dir: Path) -> Iterator[tuple[str, str]]:
    """An API on servers of its own: its address and a key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with EmbeddedServers(data_dir) as servers:
        environment = os.environ | servers.environment()
        settings = settings_from(environment)
        upgrade(settings.database_url.get_secret_value())
        engine = connect_database(settings)
        with transaction(engine) as session:
            key = create_key(session, ensure_tenant(session, "benchmark"), name="benchmark")
        engine.dispose()
        command = [sys.executable, *commands.api(host="127.0.0.1", port=port)]
        api = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}/livez")
            yield f"http://127.0.0.1:{port}", key
        finally:
            api.terminate()
            api.wait(60)


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(url).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"the API did not start in {START_SECONDS:g} s")


def _spent(folder: Path, environment: dict[str, str]) -> Spent:
    started = time.perf_counter()
    process = subprocess.Popen([*SUBMIT, str(folder)], env=environment, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the submission of {folder} ended with {process.returncode}")
    processor = used.ru_utime + used.ru_stime
    return Spent(time.perf_counter() - started, processor, used.ru_maxrss * 1024 / 1e6)


def _pretend_it_was_killed(folder: Path, url: str, key: str, *, home: Path) -> None:
    """A batch that is still open and has every file, and the journal that remembers it."""
    os.environ["XDG_STATE_HOME"] = str(home / "state")
    journal = journal_path(url, [folder])
    with Client(url, key) as client:
        begun = client.begin_submission([folder], journal=journal)
        for _ in client.upload(begun.batch.id, files_in(folder)):
            pass


def _tell(what: str, number: int, spent: Spent) -> None:
    rate = number / spent.seconds
    print(
        f"{what:>16}: {rate:7.0f} files/s, {1000 * spent.processor_seconds / number:5.2f} processor ms a file, "
        f"{spent.peak_megabytes:4.0f} MB at most",
        flush=True,
    )


if __name__ == "__main__":
    main()
