"""`leaktrace webhooks`: which addresses are told of events, what was sent to them, and sending it again.

Through the API, with a key that has the scopes webhooks:read and webhooks:write; `reseal` alone goes straight to the
database. A secret is printed when it is made.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from leaktrace.cli.connection import KeyOption, UrlOption, connect

if TYPE_CHECKING:
    from leaktrace.client.webhooks import Delivery, Webhook, WebhookWithSecret

webhooks = typer.Typer(no_args_is_help=True, help="Addresses that are told of events.")
WebhookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", help="As `webhooks list` shows it.")]


@webhooks.command("create")
def create(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="https, and public.")],
    *,
    event: Annotated[
        list[str] | None, typer.Option(help="Tell it only of this; may be repeated. Of all by default.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have an address told of events, and print the secret that signs them, once."""
    with connect(url, key) as client:
        _tell_secret(client.webhooks.create(address, events=event, description=description))


@webhooks.command("list")
def list_webhooks(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """List the webhooks, the newest first."""
    from rich.table import Table

    from leaktrace.cli.terminal import output, styled

    with connect(url, key) as client:
        found = client.webhooks.list()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("webhook", no_wrap=True)
    for title in ("address", "state", "description"):
        table.add_column(title, overflow="fold")
    for one in found:
        table.add_row(one.id, styled(one.url, ""), _state(one), styled(one.description, ""))
    output().print(table)


@webhooks.command("show")
def show(webhook: WebhookArgument, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Show one webhook."""
    from leaktrace.cli.terminal import printable

    with connect(url, key) as client:
        one = client.webhooks.get(webhook)
    typer.echo(f"address      {printable(one.url)}")
    typer.echo(f"description  {printable(one.description)}")
    typer.echo(f"events       {' '.join(one.events)}")
    typer.echo(f"state        {_state(one)}")
    if one.disabled_reason:
        typer.echo(f"reason       {printable(one.disabled_reason)}")
    typer.echo(f"made         {one.created_at:%Y-%m-%d %H:%M} UTC")


@webhooks.command("deliveries")
def deliveries(
    webhook: WebhookArgument,
    *,
    most: Annotated[int, typer.Option(min=1, help="Show so many.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List what was sent or is to be sent to a webhook, the newest first: when (UTC), what, and the last answer."""
    from leaktrace.cli.terminal import printable

    with connect(url, key) as client:
        for one in islice(client.webhooks.deliveries(webhook), most):
            tries = "1 try" if one.attempts == 1 else f"{one.attempts} tries"
            told = f"{one.id}  {one.created_at:%Y-%m-%d %H:%M}  {one.event}  {one.state}  {tries}"
            typer.echo("  ".join(filter(None, (told, printable(_last_answer(one))))))


@webhooks.command("replay")
def replay(
    webhook: WebhookArgument,
    delivery: Annotated[
        str | None, typer.Argument(metavar="[DELIVERY]", help="One, as `webhooks deliveries` shows it.")
    ] = None,
    *,
    hours: Annotated[
        float | None, typer.Option(min=0, help="All of the last so many hours that were not delivered.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Send one event again, or all that were not delivered of late, under the same message ids."""
    if (delivery is None) == (hours is None):
        raise typer.BadParameter("give either a delivery or --hours")
    with connect(url, key) as client:
        if delivery is not None:
            client.webhooks.replay(webhook, delivery)
            count = 1
        else:
            since = datetime.now(UTC) - timedelta(hours=hours or 0.0)
            count = client.webhooks.replay_since(webhook, since)
    typer.echo(f"sent again: {count}")


@webhooks.command("enable")
def enable(webhook: WebhookArgument, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Tell a webhook of events again that was disabled; what waits is sent."""
    with connect(url, key) as client:
        typer.echo(_state(client.webhooks.update(webhook, enabled=True)))


@webhooks.command("rotate")
def rotate(
    webhook: WebhookArgument,
    *,
    hours: Annotated[int, typer.Option(min=0, help="So long messages are signed with both.")] = 24,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Give a webhook another secret, and print it, once."""
    with connect(url, key) as client:
        _tell_secret(client.webhooks.rotate(webhook, keep_previous_hours=hours))


@webhooks.command("test")
def send_test(webhook: WebhookArgument, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Send an event of no meaning; `webhooks deliveries` shows what came of it."""
    with connect(url, key) as client:
        typer.echo(f"on its way: {client.webhooks.test(webhook).message_id}")


@webhooks.command("delete")
def delete(webhook: WebhookArgument, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Remove a webhook with its deliveries."""
    with connect(url, key) as client:
        client.webhooks.delete(webhook)
    typer.echo(f"deleted {webhook}")


@webhooks.command("reseal")
def reseal() -> None:
    """Seal the secrets of all webhooks by the newest of LEAKTRACE_SECRET_KEYS, straight in the database."""
    from leaktrace.cli.keys import open_records
    from leaktrace.cli.local_stack import local_settings
    from leaktrace.errors import InvalidInput
    from leaktrace.records.webhooks import renew_secrets
    from leaktrace.sealing import make_seal

    settings = local_settings()
    if not settings.secret_keys:
        raise InvalidInput("LEAKTRACE_SECRET_KEYS is not set, so that there is nothing to seal by")
    with open_records() as session:
        count = renew_secrets(session, make_seal(settings).renew)
    typer.echo(f"sealed the secrets of {count:,} webhooks")


def _tell_secret(made: "WebhookWithSecret") -> None:
    from leaktrace.cli.terminal import messages

    messages().print(f"webhook {made.id}; keep its secret: it cannot be shown again", soft_wrap=True)
    typer.echo(made.secret)


def _state(one: "Webhook") -> str:
    if not one.enabled:
        return "disabled"
    return f"failing since {one.failing_since:%Y-%m-%d %H:%M} UTC" if one.failing_since else "enabled"


def _last_answer(delivery: "Delivery") -> str:
    if not delivery.tries:
        return ""
    last = delivery.tries[-1]
    return last.error or str(last.status)
