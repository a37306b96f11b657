"""What administrators do: give out keys, read the audit trail and the status; those of the service, set quotas.

Reached as `administration` of both clients; see `methods`. Needs a key with the scope tenant:admin, and service:admin
for other tenants and the whole service.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from leaktrace.client.answers import Answer
from leaktrace.client.flows import Flow, Request, Series
from leaktrace.client.methods import Part, SenderT, given, iterated, shared
from leaktrace.client.results import ExportFormat, export_lines

AUDIT = "/v1/audit"
Breadth = Literal["tenant", "service"]


class Key(Answer):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[str]
    state: str
    labels_are_trusted: bool = False
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class KeyWithSecret(Key):
    """A key that was just made, to be kept now: `key` is what is presented."""

    key: str = Field(repr=False)


class Tenant(Answer):
    """A tenant with what it uses."""

    id: str
    name: str
    daily_image_quota: int | None = None
    quota_in_force: int
    images_today: int
    live_keys: int
    created_at: datetime


class AuditEvent(Answer):
    """Who did what to what, and when; without a tenant it concerns the whole service."""

    id: int
    at: datetime
    tenant: str | None = None
    actor: str
    action: str
    subject: str
    details: dict[str, Any] = Field(default_factory=dict)


class Alarm(Answer):
    """Something that a person should look at. It is gone when its cause is."""

    name: str
    level: str
    detail: str


class Status(Answer):
    """How the service is doing, as `/v1/status` tells it: what waits, who works, how fast, what fails."""

    queue: dict[str, Any]
    workers: list[dict[str, Any]]
    minutes: list[dict[str, Any]]
    stages: dict[str, dict[str, float]]
    waiting: dict[str, float] | None = None
    failures: list[dict[str, Any]]
    alarms: list[Alarm]


class Administration(Part[SenderT]):
    """Keys, tenants, audit trail and status."""

    @shared
    def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[str] | None = None,
        expires_days: int | None = None,
        tenant_id: str | None = None,
    ) -> Flow[KeyWithSecret]:
        """Make a key, by default with all scopes but those of administrators. If the answer is lost, revoke it."""
        body = {"name": name, "scopes": scopes, "expires_days": expires_days, "tenant_id": tenant_id}
        asked = {name: value for name, value in body.items() if value is not None}
        return self._ask(KeyWithSecret, "POST", "/v1/keys", json=asked)

    @shared
    def keys(self, *, tenant_id: str | None = None) -> Flow[list[Key]]:
        """All keys, also those that are expired or revoked, the newest first."""
        return self._list(Key, "/v1/keys", params=given(tenant_id=tenant_id))

    @shared
    def key(self, key_id: str, *, tenant_id: str | None = None) -> Flow[Key]:
        """One key."""
        return self._ask(Key, "GET", f"/v1/keys/{key_id}", params=given(tenant_id=tenant_id))

    @shared
    def revoke_key(self, key_id: str, *, tenant_id: str | None = None) -> Flow[None]:
        """Revoke a key at once; a key cannot revoke itself."""
        query = given(tenant_id=tenant_id)
        yield from self._sender.exchange(Request(method="DELETE", path=f"/v1/keys/{key_id}", params=query))

    @iterated
    def tenants(self) -> Series[Tenant]:
        """All tenants by name."""
        return self._pages(Tenant, "/v1/tenants")

    @shared
    def create_tenant(self, name: str, *, daily_image_quota: int | None = None) -> Flow[Tenant]:
        """Make a tenant; `create_key` with its id makes its first key."""
        body = {"name": name, "daily_image_quota": daily_image_quota}
        return self._ask(Tenant, "POST", "/v1/tenants", json=body)

    @shared
    def set_quota(self, tenant_id: str, *, daily_image_quota: int | None) -> Flow[Tenant]:
        """Set how many images a tenant may submit a day; None: as many as the service's setting says."""
        body = {"daily_image_quota": daily_image_quota}
        return self._ask(Tenant, "PATCH", f"/v1/tenants/{tenant_id}", json=body)

    @iterated
    def audit(
        self,
        *,
        of: Breadth = "tenant",
        action: str | None = None,
        actor: str | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Series[AuditEvent]:
        """What was done, the newest first; `action` is one, or a group as `key.`; times carry their zone."""
        filters = {"action": action, "actor": actor, "subject": subject, "since": since, "until": until}
        return self._pages(AuditEvent, AUDIT, of=of, **filters)

    @iterated
    def export_audit(
        self,
        form: ExportFormat,
        *,
        of: Breadth = "tenant",
        action: str | None = None,
        actor: str | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Series[bytes]:
        """The same as the service writes it, line by line, or Parquet as it comes; NDJSON's end line is checked.

        Raises:
            ResultsTruncated: the stream broke off.
        """
        filters = {"action": action, "actor": actor, "subject": subject, "since": since, "until": until}
        return export_lines(self._sender, form, path=AUDIT, of=of, **filters)

    @shared
    def status(self, *, of: Breadth = "tenant") -> Flow[Status]:
        """How the service is doing; what is counted is the tenant's, or everybody's."""
        return self._ask(Status, "GET", "/v1/status", params=given(of=of))
