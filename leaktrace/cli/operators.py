"""`leaktrace operators`: create, list and disable the people who sign in to the console, straight in the database.

Like `leaktrace keys`: whoever may reach the database may make operators. A password is generated and printed once, or
read from standard input, and never taken from the command line, which other users of the machine can see.
"""

import sys
from typing import Annotated

import typer

from leaktrace.cli.keys import TenantOption, open_records
from leaktrace.errors import InvalidInput

operators = typer.Typer(no_args_is_help=True, help="People who sign in to the console.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name to sign in with.")]


@operators.command("create")
def create(
    name: NameArgument,
    *,
    tenant: TenantOption = "default",
    role: Annotated[str, typer.Option(help="viewer, moderator, researcher or admin.")] = "moderator",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Make an operator (and the tenant, if new) and print the password, once."""
    from leaktrace.cli.terminal import messages
    from leaktrace.passwords import generate_password, hash_password
    from leaktrace.records.keys import ensure_tenant
    from leaktrace.records.operators import create_operator

    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else generate_password()
    password_hash = hash_password(password)
    with open_records() as session:
        create_operator(
            session, ensure_tenant(session, tenant), name=name, role=role, password_hash=password_hash
        )
    if not password_stdin:
        typer.echo(password)
        messages().print("keep it: it cannot be shown again", soft_wrap=True)


@operators.command("list")
def list_tenant_operators(*, tenant: TenantOption = "default") -> None:
    """List a tenant's operators."""
    from rich.table import Table

    from leaktrace.cli.terminal import output
    from leaktrace.records.keys import find_tenant
    from leaktrace.records.operators import list_operators

    with open_records() as session:
        tenant_id = find_tenant(session, tenant)
        if tenant_id is None:
            raise InvalidInput(f"there is no tenant {tenant!r}; `leaktrace operators create` makes one")
        found = list_operators(session, tenant_id)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "role", "state", "last signed in (UTC)"):
        table.add_column(title)
    for operator in found:
        seen = f"{operator.signed_in_at:%Y-%m-%d %H:%M}" if operator.signed_in_at else "never"
        table.add_row(operator.name, operator.role, "disabled" if operator.disabled_at else "active", seen)
    output().print(table)


@operators.command("disable")
def disable(name: NameArgument) -> None:
    """Disable an operator at once and end all their sessions."""
    from leaktrace.records.operators import disable_operator

    with open_records() as session:
        if not disable_operator(session, name):
            raise InvalidInput(
                f"there is no operator {name!r} who could be disabled; see `leaktrace operators list`"
            )
    typer.echo(f"disabled {name}")
