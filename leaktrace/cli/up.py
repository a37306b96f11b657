"""`leaktrace up`: the whole service on this machine, in the foreground, until Ctrl-C or SIGTERM.

It prints where the API is and the key that opens it, and starts again whatever ends by itself, as an orchestrator
would, unless that keeps happening. Knows nothing of batches.
"""

import signal
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.errors import Unavailable

if TYPE_CHECKING:
    from deploy.embedded.stack import Stack

DEFAULT_DATA_DIR = Path(".leaktrace")
DEFAULT_PORT = 8471
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WATCH_SECONDS = 0.5
MAX_REVIVALS = 10
REVIVALS_WINDOW_SECONDS = 60.0


class KeepsEnding(Unavailable):
    """Some process ends again and again; carries its name and the folder of logs."""

    code = "keeps_ending"

    def __init__(self, name: str, *, logs: Path) -> None:
        self.name, self.logs = name, logs
        super().__init__(f"{name} keeps ending: read {logs / name}.log, then start again")


def up(
    data_dir: Annotated[
        Path, typer.Option(help="Where databases, objects, keys and logs are kept.")
    ] = DEFAULT_DATA_DIR,
    port: Annotated[
        int, typer.Option(help="Port of the API where it is free; otherwise another.")
    ] = DEFAULT_PORT,
) -> None:
    """Run the whole service here until Ctrl-C. What it stores is there again the next time."""
    from deploy.embedded.stack import Stack

    interrupt_once()
    started = time.monotonic()
    try:
        with Stack(data_dir, preferred_port=port) as stack:
            _announce(stack, seconds=time.monotonic() - started)
            _watch(stack)
    except KeyboardInterrupt:
        typer.echo("Stopped. The data is kept.")


def interrupt_once() -> None:
    """Make the first stop signal raise KeyboardInterrupt; further ones must not cut the stopping short."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        # Under nohup the end of the terminal is meant to be survived.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def _announce(stack: "Stack", *, seconds: float) -> None:
    typer.echo(f"Leaktrace is ready at {stack.api_url} ({seconds:.1f} s)")
    typer.echo(f"  API docs   {stack.api_url}/docs")
    typer.echo(f"  key        {stack.key}")
    typer.echo(f"  console    {stack.api_url}/console (sign in with the key, or as an operator:")
    typer.echo("             leaktrace operators create NAME --role moderator)")
    typer.echo(f"  data, logs {stack.data_dir}")
    typer.echo("Ctrl-C stops it.")


def _watch(stack: "Stack") -> None:
    """Start again what ends; returns never, raises KeepsEnding."""
    revivals: deque[float] = deque(maxlen=MAX_REVIVALS)
    while True:
        time.sleep(WATCH_SECONDS)
        for name in stack.revive():
            now = time.monotonic()
            if len(revivals) == MAX_REVIVALS and now - revivals[0] < REVIVALS_WINDOW_SECONDS:
                raise KeepsEnding(name, logs=stack.data_dir / "logs")
            revivals.append(now)
            typer.echo(
                f"{name} ended by itself and was started again; its log is {stack.data_dir}/logs/{name}.log",
                err=True,
            )
