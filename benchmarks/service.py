"""What the service costs around the library: throughput, queue and database, memory, time to ready; in one run.

    python -m benchmarks.service [--images FOLDER] [--model starter] [--number 2000] [--threads N] [--json FILE]

Library: one process that attributes in batches and decodes the next one meanwhile, with one torch thread or one a
core, whichever is faster; before and after the service's run, since other work on the machine comes and goes.
Service: the whole stack on this machine; one batch through the client, timed by the service's own clock from close to
completed, and from creation (so with the upload).
Queue and database: see `overhead`. Processor time is given too, since other work on the machine disturbs it less.
Memory: resident, sampled five times a second; growth is the mean of the last third of the time over that of the first.
Ready: `leaktrace up` on an empty data directory, and again on the same.
"""

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TypeVar

from benchmarks.overhead import milliseconds_per_image
from benchmarks.pictures import distinct_images, uploads
from benchmarks.processes import MemoryWatch, processor_seconds
from deploy.embedded.servers import remove_data
from deploy.embedded.stack import Stack
from leaktrace.client import Batch, Client

Found = TypeVar("Found")

LIBRARY_BATCH = 32
LIBRARY_IMAGES = 256
DECODE_THREADS = 4  # as many as a worker has
WARM_UP_IMAGES = 64
OVERHEAD_BATCHES = 3
WATCHED = ("api", "worker")
SERVERS = ("valkey", "postgres", "seaweed")
UP = [sys.executable, "-c", "from leaktrace.cli import app; app()", "up"]
READY_SECONDS = 180.0


@dataclass(frozen=True)
class ServiceRun:
    """Images per second of the service, and the memory of its processes."""

    images_per_second: float
    images_per_second_with_upload: float
    failed: int
    peak_megabytes: dict[str, float]
    growth: dict[str, float]
    processor_ms: dict[str, float]  # an image, by process


def main() -> None:
    """Run every part and print one table."""
    arguments = _arguments()
    os.environ["LEAKTRACE_MODEL"] = arguments.model
    if arguments.threads:
        os.environ["LEAKTRACE_TORCH_THREADS"] = str(arguments.threads)
    with tempfile.TemporaryDirectory(prefix="leaktrace-bench-") as directory:
        data_dir = Path(directory) / "data"
        ready = [_told(f"seconds to ready, {how}", _seconds_to_ready(data_dir)) for how in ("cold", "warm")]
        before = _told("library, images/s and processor ms", _library_rate(arguments))
        service = _told("service", _service_run(data_dir, arguments))
        after = _told("library, again", _library_rate(arguments))
        remove_data(data_dir)
    overhead = milliseconds_per_image(images=arguments.number, batches=OVERHEAD_BATCHES)
    library = fmean([before[0], after[0]])
    found = {
        "library_images_per_second": {"mean": library, "before": before[0], "after": after[0]},
        "library_processor_ms": fmean([before[1], after[1]]),
        "service": asdict(service),
        "ratio": service.images_per_second / library,
        "ratio_with_upload": service.images_per_second_with_upload / library,
        "queue_and_database_ms": {"median": median(overhead), "all": overhead},
        "seconds_to_ready": {"cold": ready[0], "warm": ready[1]},
    }
    _print(found, service, images=arguments.number)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def _told(part: str, found: Found) -> Found:
    """Say what a part found as soon as it is known: the whole takes minutes."""
    print(f"{part}: {found}", file=sys.stderr, flush=True)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder to cycle through; computed pictures without it")
    parser.add_argument("--model", default="starter", help="name of a shipped model or a model folder")
    parser.add_argument("--number", type=int, default=2000, help="images that pass through the service")
    parser.add_argument(
        "--threads", type=int, help="torch threads of library and worker; by default each its best or own"
    )
    parser.add_argument("--json", type=Path, help="also write what was found to this file")
    return parser.parse_args()


def _seconds_to_ready(data_dir: Path) -> float:
    """From the start of the process `leaktrace up` to its word that the service is ready; then it is stopped."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*UP, "--data-dir", str(data_dir)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    told: list[str] = []
    for line in process.stdout:
        told.append(line)
        if "is ready" in line:
            break
    taken = time.perf_counter() - started
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=READY_SECONDS)
    if not any("is ready" in line for line in told):
        raise SystemExit("the service did not start:\n" + "".join(told) + rest)
    return taken


def _library_rate(arguments: argparse.Namespace) -> tuple[float, float]:
    """The better of one torch thread and one a core, in a process of its own, so that nothing is in its way."""
    images = distinct_images(arguments.images, number=min(LIBRARY_IMAGES, arguments.number))
    threads = [arguments.threads] if arguments.threads else [1, os.cpu_count() or 1]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return max(
            executor.submit(library_rate, images, arguments.model, threads=number).result()
            for number in threads
        )


def library_rate(images: list[bytes], model: str, *, threads: int) -> tuple[float, float]:
    """Images a second, and milliseconds of processor an image, after a first batch to warm up.

    The next batch is decoded on threads while one is attributed, as a good user of the library would.
    """
    import torch

    from leaktrace.science.attributor import Attributor
    from leaktrace.science.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(threads)
    attributor = Attributor.load(model)
    attributor.attribute([attributor.prepare(data) for data in images[:LIBRARY_BATCH]])
    started, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(DECODE_THREADS) as decoders:
        batches = [images[start : start + LIBRARY_BATCH] for start in range(0, len(images), LIBRARY_BATCH)]
        coming = decoders.map(attributor.prepare, batches[0])
        for following in [*batches[1:], []]:
            prepared = list(coming)
            coming = decoders.map(attributor.prepare, following)
            attributor.attribute(prepared)
    taken = time.process_time() - processor
    return len(images) / (time.perf_counter() - started), 1000 * taken / len(images)


def _service_run(data_dir: Path, arguments: argparse.Namespace) -> ServiceRun:
    with Stack(data_dir) as stack, Client(stack.api_url, stack.key) as client:
        _attribute(client, distinct_images(arguments.images, number=WARM_UP_IMAGES, series=1))
        images = distinct_images(arguments.images, number=arguments.number, series=2)
        pids = {name: stack.processes[name].pid for name in WATCHED}
        before = _processor_seconds(stack)
        with MemoryWatch(pids) as watch:
            uploading = time.monotonic()
            batch, closed = _attribute(client, images)
        after = _processor_seconds(stack)
    assert batch.queued_at is not None
    assert batch.completed_at is not None
    whole = (batch.completed_at - batch.created_at).total_seconds()
    attributing = (batch.completed_at - batch.queued_at).total_seconds()
    return ServiceRun(
        images_per_second=len(images) / attributing,
        images_per_second_with_upload=len(images) / whole,
        failed=batch.counts.failed,
        peak_megabytes={name: watch.peak_megabytes(name) for name in WATCHED},
        # Each in the time in which it has work to do.
        growth={
            "api": watch.growth("api", since=uploading, until=closed),
            "worker": watch.growth("worker", since=closed),
        },
        processor_ms={name: 1000 * (after[name] - before[name]) / len(images) for name in after},
    )


def _processor_seconds(stack: Stack) -> dict[str, float]:
    assert stack.servers is not None, "the benchmark runs on embedded servers"
    taken = {name: processor_seconds(stack.processes[name].pid) for name in WATCHED}
    servers = sum(processor_seconds(getattr(stack.servers, name).pid) for name in SERVERS)
    return {**taken, "servers": servers}


def _attribute(client: Client, images: list[bytes]) -> tuple[Batch, float]:
    """Take images through the service; the finished batch, and when it was closed."""
    batch = client.create_batch("benchmark")
    refused = [answer for answer in client.upload(batch.id, uploads(images)) if answer.status != "accepted"]
    if refused:
        raise SystemExit(f"{len(refused)} images were not accepted; the first: {refused[0].error}")
    client.close(batch.id)
    closed = time.monotonic()
    return client.wait(batch.id, longest_pause_seconds=1.0), closed


def _print(found: dict[str, object], service: ServiceRun, *, images: int) -> None:
    numbers = json.loads(json.dumps(found))
    rows = [
        ("library", f"{numbers['library_images_per_second']['mean']:.1f} images/s", ""),
        (f"service, {images} images, close to completed", f"{service.images_per_second:.1f} images/s", ""),
        ("service, with the upload", f"{service.images_per_second_with_upload:.1f} images/s", ""),
        ("service over library", f"{numbers['ratio']:.2f}", ">= 0.90"),
        ("service over library, with the upload", f"{numbers['ratio_with_upload']:.2f}", ""),
        ("failed images", str(service.failed), "0"),
        ("queue and database, an image", f"{numbers['queue_and_database_ms']['median']:.2f} ms", "< 2 ms"),
        ("ready, cold", f"{numbers['seconds_to_ready']['cold']:.1f} s", ""),
        ("ready, warm", f"{numbers['seconds_to_ready']['warm']:.1f} s", "< 10 s"),
    ]
    rows.append(("processor time an image, library", f"{numbers['library_processor_ms']:.1f} ms", ""))
    rows += [
        (f"processor time an image, {name}", f"{taken:.1f} ms", "")
        for name, taken in service.processor_ms.items()
    ]
    for name in WATCHED:
        rows.append((f"peak memory, {name}", f"{service.peak_megabytes[name]:.0f} MB", ""))
        rows.append((f"memory, {name}: last third over first", f"{service.growth[name]:.2f}", "about 1"))
    print(f"{'':44}{'found':>18}{'goal':>12}")
    for name, value, goal in rows:
        print(f"{name:44}{value:>18}{goal:>12}")


if __name__ == "__main__":
    main()
