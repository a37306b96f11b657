"""`leaktrace keys`: create, list and revoke API keys, straight in the database.

Whoever may reach the database may make keys, so there is no key for making keys. The database is the one that the
environment names, or else that of the local stack.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.errors import InvalidInput

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from leaktrace.records.models import ApiKey

keys = typer.Typer(no_args_is_help=True, help="API keys, straight in the database.")
TenantOption = Annotated[str, typer.Option(help="The tenant that the key belongs to.")]


@keys.command("create")
def create(
    *,
    tenant: TenantOption,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "default",
    scopes: Annotated[
        list[str] | None, typer.Option(help="Allow only this; may be repeated. All scopes by default.")
    ] = None,
    expires_days: Annotated[int | None, typer.Option(min=1, help="Days until the key expires.")] = None,
) -> None:
    """Make a key (and its tenant, if new) and print it, once."""
    from leaktrace.cli.terminal import messages
    from leaktrace.records.keys import SCOPES, create_key, ensure_tenant

    expires_at = datetime.now(UTC) + timedelta(days=expires_days) if expires_days else None
    chosen = (
        tuple(scope for entry in scopes for scope in entry.replace(",", " ").split()) if scopes else SCOPES
    )
    with open_records() as session:
        tenant_id = ensure_tenant(session, tenant)
        key = create_key(session, tenant_id, name=name, scopes=chosen, expires_at=expires_at)
    typer.echo(key)
    messages().print("keep it: it cannot be shown again", soft_wrap=True)


@keys.command("list")
def list_tenant_keys(*, tenant: TenantOption) -> None:
    """List a tenant's keys; the secrets are not known any more."""
    from rich.table import Table

    from leaktrace.cli.terminal import output, styled
    from leaktrace.records.keys import find_tenant, list_keys

    with open_records() as session:
        tenant_id = find_tenant(session, tenant)
        if tenant_id is None:
            raise InvalidInput(
                f"there is no tenant {tenant!r}; `leaktrace keys create` makes one with its first key"
            )
        found = list_keys(session, tenant_id)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("id", "name", "scopes", "state", "last used (UTC)"):
        table.add_column(title)
    for key in found:
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        table.add_row(key.public_id, styled(key.name, ""), " ".join(key.scopes), _state(key), used)
    output().print(table)


@keys.command("revoke")
def revoke(public_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")]) -> None:
    """Revoke a key at once."""
    from leaktrace.records.keys import revoke_key

    with open_records() as session:
        if not revoke_key(session, public_id):
            raise InvalidInput(
                f"there is no key {public_id!r} that could be revoked; see `leaktrace keys list`"
            )
    typer.echo(f"revoked {public_id}")


@contextmanager
def open_records() -> "Iterator[Session]":
    """A transaction on the database that the environment or the local stack names."""
    from leaktrace.cli.local_stack import local_settings
    from leaktrace.records.database import connect_database, transaction

    engine = connect_database(local_settings())
    try:
        with transaction(engine) as session:
            yield session
    finally:
        engine.dispose()


def _state(key: "ApiKey") -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return "expired"
    return f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "live"
