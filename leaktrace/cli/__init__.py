"""The command line: `leaktrace COMMAND`.

Each command lives in a module of its name and imports what is heavy inside its function, so that help comes at once.
Exit codes: 0 done, 1 failed (with one line of advice), 2 wrong usage, 130 interrupted.
"""

import importlib

import typer

from leaktrace.cli.cancel import cancel, retry
from leaktrace.cli.demo import demo
from leaktrace.cli.failures import CommandGroup
from leaktrace.cli.generators import generators
from leaktrace.cli.keys import keys
from leaktrace.cli.results import results
from leaktrace.cli.status import status
from leaktrace.cli.submit import submit

app = typer.Typer(
    name="leaktrace",
    cls=CommandGroup,
    help="Finds out which generator made an image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, submit, status, results, cancel, retry):
    app.command()(command)
app.add_typer(keys, name="keys")
app.add_typer(generators, name="generators")
for name in ("up", "attribute", "train", "evaluate"):
    try:
        app.command(name)(getattr(importlib.import_module(f"leaktrace.cli.{name}"), name))
    except (ImportError, AttributeError):
        continue
