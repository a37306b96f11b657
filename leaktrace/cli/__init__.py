"""The command line: `leaktrace COMMAND`.

Each command lives in a module of its name and imports what is heavy inside its function, so that help comes at once.
Exit codes: 0 done, 1 failed (with one line of advice), 2 wrong usage, 130 interrupted.
"""

from importlib import import_module

import typer

from leaktrace.cli import cancel, demo, generators, keys, results, status, submit
from leaktrace.cli.failures import CommandGroup

app = typer.Typer(
    name="leaktrace",
    cls=CommandGroup,
    help="Finds out which generator made an image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo.demo,
    submit.submit,
    status.status,
    results.results,
    cancel.cancel,
    cancel.retry,
):
    app.command()(command)
app.add_typer(keys.keys, name="keys")
app.add_typer(generators.generators, name="generators")
for name in ("up", "attribute", "train", "evaluate"):
    try:
        app.command(name)(getattr(import_module(f"leaktrace.cli.{name}"), name))
    except (ImportError, AttributeError):
        continue
