"""The command line: `leaktrace COMMAND`.

Each command lives in a module of its name and imports what is heavy inside its function, so that help comes at once.
Exit codes: 0 done, 1 failed (with one line of advice), 2 wrong usage, 130 interrupted.
"""

import typer

from leaktrace.cli import (
    attribute,
    cancel,
    case_report,
    compare,
    demo,
    density,
    evaluate,
    generators,
    keys,
    label,
    models,
    operators,
    rescore,
    results,
    status,
    submit,
    train,
    up,
    webhooks,
)
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
    up.up,
    submit.submit,
    status.status,
    results.results,
    rescore.rescore,
    label.label,
    cancel.cancel,
    cancel.retry,
    attribute.attribute,
    train.train,
    evaluate.evaluate,
    compare.compare,
):
    app.command()(command)
app.add_typer(keys.keys, name="keys")
app.add_typer(operators.operators, name="operators")
app.add_typer(generators.generators, name="generators")
app.add_typer(density.density, name="density")
app.add_typer(models.models, name="models")
app.add_typer(case_report.report, name="report")
app.add_typer(webhooks.webhooks, name="webhooks")
