"""Turns the errors that Leaktrace raises on purpose into one line of advice and exit code 1.

Wrong usage is left to typer (exit code 2), Ctrl-C too (130); an error that nobody foresaw keeps its traceback, since
that is what a report of it needs.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from leaktrace.errors import LeaktraceError

FAILED = 1
ADVICE = {
    "unauthenticated": "give a key that is valid with --key or LEAKTRACE_API_KEY; `leaktrace keys create` makes one",
    "scope_missing": "the key lacks a scope; `leaktrace keys create --scopes ...` makes one that has it",
    "service_unreachable": "`make up` (or `leaktrace up`) starts the service on this machine",
}


class CommandGroup(TyperGroup):
    """The commands, with the errors of all of them shown in one way."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; a LeaktraceError is told on standard error and ends with exit code 1."""
        try:
            return super().invoke(ctx)
        except LeaktraceError as error:
            tell(error)
            raise typer.Exit(FAILED) from error


def tell(error: LeaktraceError) -> None:
    """Print what went wrong and what can be done about it."""
    from leaktrace.cli.terminal import messages, printable

    console = messages()
    console.print(f"error: {printable(str(error))}", style="bold red", soft_wrap=True)
    advice = ADVICE.get(error.code)
    if advice:
        console.print(f"       {advice}", soft_wrap=True)
