"""`leaktrace demo`: the whole service once round, from nothing to a report, and everything stopped again.

The service gets the images under numbers; their names stay here, so no folder name can help it. The images of earlier
demos are deleted first, so that nothing is answered from what was attributed before.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.failures import FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from leaktrace.cli.demo_run import DemoRun

DEFAULT_DATA_DIR = Path(".leaktrace")
RESULTS_FILE = "demo-results.ndjson"
REPORT_FILE = "demo-report.html"
# Outcomes are saved a shard at a time, and somebody is watching the bar.
SMALL_SHARDS = {"LEAKTRACE_SHARD_IMAGES": "16"}


def demo(
    images: Annotated[
        Path | None, typer.Argument(metavar="[IMAGES]", help="A folder, an archive or an image.")
    ] = None,
    *,
    data_dir: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = DEFAULT_DATA_DIR,
    out: Annotated[Path, typer.Option(help="Folder for the results and the report.")] = Path(),
) -> None:
    """Start everything, attribute a batch of images, show what was found, stop everything."""
    from leaktrace.cli.demo_images import choose_images, describe_images, expect_images
    from leaktrace.cli.demo_run import DemoRun
    from leaktrace.cli.terminal import output, printable
    from leaktrace.cli.up import interrupt_once

    console = output()
    origin = describe_images(images)
    run = DemoRun(lambda: choose_images(images), origin=origin, total=expect_images(images))
    console.print(f"Images: {printable(origin)}", soft_wrap=True)
    interrupt_once()
    try:
        _attribute(run, data_dir, console=console)
    except KeyboardInterrupt:
        console.print("Interrupted; everything is stopped.")
        raise
    _show(run, out, console=console)
    if run.state != "completed":
        raise typer.Exit(FAILED)


def _attribute(run: "DemoRun", data_dir: Path, *, console: "Console") -> None:
    """Everything that needs the service; it is stopped on the way out, whatever happens."""
    from deploy.embedded.stack import Stack
    from leaktrace.cli.demo_key import demo_key
    from leaktrace.client import Client

    began = time.monotonic()
    console.print("Starting Valkey, Postgres, SeaweedFS, API, worker and beat ...", soft_wrap=True)
    with Stack(data_dir, environment=SMALL_SHARDS | os.environ) as stack:
        console.print(f"Ready in {time.monotonic() - began:.1f} s at {stack.api_url}", soft_wrap=True)
        with demo_key(stack.settings()) as key, Client(stack.api_url, key) as client:
            run.attribute(client, console=console)
        run.docs_url = f"{stack.api_url}/docs"
        console.print("Stopping everything ...")


def _show(run: "DemoRun", out: Path, *, console: "Console") -> None:
    from leaktrace.cli.summary import summary_table

    summary = run.summary()
    console.print()
    console.print(summary_table(summary))
    console.print()
    comparison = run.comparison()
    if comparison is not None:
        console.print(comparison.words())
        console.print()
    run.write_results(out / RESULTS_FILE)
    run.write_report(out / REPORT_FILE)
    console.print("This is evidence, not proof.", style="bold")
    console.print(f"Results: {out / RESULTS_FILE}", soft_wrap=True)
    console.print(f"Report:  {out / REPORT_FILE}", soft_wrap=True)
    console.print(f"API:     {run.docs_url} while `make up` runs", soft_wrap=True)
    console.print(
        "Console: `make up` prints its address and a key to sign in with; `leaktrace operators create NAME` makes a "
        "person's name and password",
        soft_wrap=True,
    )
