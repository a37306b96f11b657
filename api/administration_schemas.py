"""Keys, tenants and the audit trail as the API takes and gives them. A key itself is given once, when it is made."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from api import administration_examples as examples
from api.schemas import PRINTABLE, Given, read_whole
from leaktrace.records.audit import AuditRow
from leaktrace.records.keys import SCOPES, SERVICE_ADMIN, Scope, is_live
from leaktrace.records.models import ApiKey
from leaktrace.records.tenants import TenantUse

KeyState = Literal["live", "expired", "revoked"]
LARGEST_QUOTA = 10**12
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=PRINTABLE)]
TenantName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$")]
DailyQuota = Annotated[
    Annotated[int, Field(ge=0, le=LARGEST_QUOTA), BeforeValidator(read_whole)] | None,
    Field(description="Images a day (UTC); null: as many as the service's setting says."),
]


class KeyCreate(Given):
    """A new key. It can be given no scope that the caller has not got."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.KEY_CREATE})

    name: KeyName = Field(description="What the key is for.")
    scopes: list[Scope] = Field(
        default_factory=lambda: list(SCOPES),
        min_length=1,
        max_length=20,
        description="All but `tenant:admin` and `service:admin` unless given.",
    )
    expires_days: Annotated[int, Field(ge=1, le=3650), BeforeValidator(read_whole)] | None = None
    tenant_id: UUID | None = Field(
        None, description="Another tenant's: only with `service:admin`.", strict=False
    )


class Key(BaseModel):
    """An API key without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.KEY})

    id: str
    name: str
    scopes: list[str]
    state: KeyState
    labels_are_trusted: bool = Field(
        description="Labels made with it may change the density that judges everybody: it has `service:admin`."
    )
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyWithSecret(Key):
    """A key that was just made, with what is to be presented. It is not shown again."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.KEY_WITH_SECRET})

    key: str = Field(description="As it is presented: `lk_live_...`.")


class Keys(BaseModel):
    """All keys of a tenant, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": examples.KEY}]})

    data: list[Key]


class TenantCreate(Given):
    """A new tenant."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.TENANT_CREATE})

    name: TenantName
    daily_image_quota: DailyQuota = None


class QuotaChange(Given):
    """Another quota for a tenant; it holds from its next upload on."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.QUOTA_CHANGE})

    daily_image_quota: DailyQuota


class Tenant(BaseModel):
    """A tenant with what it uses."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.TENANT})

    id: UUID
    name: str
    daily_image_quota: int | None = Field(description="Null: the service's.")
    quota_in_force: int
    images_today: int = Field(description="Submitted since midnight (UTC).")
    live_keys: int
    created_at: datetime


class TenantPage(BaseModel):
    """A page of tenants by name; the next one by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": examples.TENANT, "next_cursor": None}]}
    )

    data: list[Tenant]
    next_cursor: str | None


class AuditEvent(BaseModel):
    """Who did what to what, and when."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.AUDIT_EVENT})

    id: int
    at: datetime
    tenant: str | None = Field(description="Its name; null for what concerns the whole service.")
    actor: str = Field(description="`key:<id>`, `operator:<name>`, `cli` or `system`.")
    action: str
    subject: str
    details: dict[str, Any]


class AuditPage(BaseModel):
    """A page of the audit trail, newest first; the next one by `cursor=<next_cursor>` until that is null."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": examples.AUDIT_EVENT, "next_cursor": None}]}
    )

    data: list[AuditEvent]
    next_cursor: str | None


def build_key(key: ApiKey) -> Key:
    """The key as its tenant's administrators see it."""
    return Key.model_validate(_facts(key))


def reveal_key(key: ApiKey, presented: str) -> KeyWithSecret:
    """The key with what was just made."""
    return KeyWithSecret.model_validate({**_facts(key), "key": presented})


def build_tenant(use: TenantUse, *, default_quota: int) -> Tenant:
    """The tenant as those who run the service see it."""
    tenant = use.tenant
    own = tenant.daily_image_quota
    return Tenant(
        id=tenant.id,
        name=tenant.name,
        daily_image_quota=own,
        quota_in_force=default_quota if own is None else own,
        images_today=use.images_today,
        live_keys=use.live_keys,
        created_at=tenant.created_at,
    )


def build_event(row: AuditRow) -> AuditEvent:
    """The event with the name of its tenant."""
    event, tenant = row
    names = ("id", "at", "actor", "action", "subject", "details")
    return AuditEvent(tenant=tenant, **{name: getattr(event, name) for name in names})


def _facts(key: ApiKey) -> dict[str, Any]:
    names = ("name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    return {
        **{name: getattr(key, name) for name in names},
        "id": key.public_id,
        "state": _state(key),
        "labels_are_trusted": SERVICE_ADMIN in key.scopes,
    }


def _state(key: ApiKey) -> KeyState:
    if key.revoked_at is not None:
        return "revoked"
    return "live" if is_live(key) else "expired"
