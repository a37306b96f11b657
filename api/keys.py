"""The routes of API keys: give one out, list them, revoke one.

A key can hand on what it has and no more. Nothing here takes an Idempotency-Key, since a stored answer would keep the
secret: a key that was made twice is revoked.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from api.administration_schemas import Key, KeyCreate, Keys, KeyWithSecret, build_key, reveal_key
from api.auth import TenantAdmin, require_scope_of
from api.dependencies import GivenServices
from api.documents import problems, with_headers
from leaktrace.errors import Conflict
from leaktrace.records import keys as records
from leaktrace.records.database import transaction
from leaktrace.records.keys import PRESENTED_KEY, SERVICE_ADMIN, Caller
from leaktrace.records.tenants import find_tenant_use

router = APIRouter(prefix="/v1/keys", tags=["keys"])
KeyId = Annotated[str, Path(description="The key's `id`.", pattern=r"^[0-9a-f]{16}$")]
TenantId = Annotated[UUID | None, Query(description="Another tenant's: only for keys with `service:admin`.")]


class OwnKey(Conflict):
    """A key cannot revoke itself; use another one."""

    code = "own_key"


@router.post(
    "",
    status_code=201,
    response_model=KeyWithSecret,
    responses={**with_headers(201, "Location"), **problems(404, 413, 422, reads="JSON")},
)
def create(
    body: KeyCreate, response: Response, services: GivenServices, caller: TenantAdmin
) -> KeyWithSecret:
    """Make a key. It is in this answer alone."""
    tenant_id = _chosen(caller, body.tenant_id)
    for scope in body.scopes:
        require_scope_of(caller, scope)
    days = body.expires_days
    with transaction(services.engine) as session:
        find_tenant_use(session, tenant_id)
        presented = records.create_key(
            session,
            tenant_id,
            name=body.name,
            scopes=tuple(dict.fromkeys(body.scopes)),
            expires_at=datetime.now(UTC) + timedelta(days=days) if days is not None else None,
            actor=caller.actor,
        )
        session.flush()
        key = records.find_tenant_key(session, tenant_id, public_id=public_id_of(presented))
        response.headers["Location"] = f"/v1/keys/{key.public_id}"
        return reveal_key(key, presented)


@router.get("", response_model=Keys, responses=problems(404, 422))
def list_(services: GivenServices, caller: TenantAdmin, tenant_id: TenantId = None) -> Keys:
    """List the keys, also those that are expired or revoked. Their secrets are not known any more."""
    chosen = _chosen(caller, tenant_id)
    with transaction(services.engine) as session:
        find_tenant_use(session, chosen)
        return Keys(data=[build_key(key) for key in records.list_keys(session, chosen)])


@router.get("/{key_id}", response_model=Key, responses=problems(404, 422))
def read(key_id: KeyId, services: GivenServices, caller: TenantAdmin, tenant_id: TenantId = None) -> Key:
    """Read one key."""
    with transaction(services.engine) as session:
        return build_key(records.find_tenant_key(session, _chosen(caller, tenant_id), public_id=key_id))


@router.delete("/{key_id}", status_code=204, responses=problems(404, 409, 422))
def revoke(
    key_id: KeyId, services: GivenServices, caller: TenantAdmin, tenant_id: TenantId = None
) -> Response:
    """Revoke a key at once, and end what is signed in with it. Twice is harmless."""
    if caller.kind == "key" and caller.public_id == key_id:
        raise OwnKey("this is the key that you call with: revoke it with another one")
    chosen = _chosen(caller, tenant_id)
    with transaction(services.engine) as session:
        records.find_tenant_key(session, chosen, public_id=key_id)
        records.revoke_key(session, key_id, actor=caller.actor, tenant_id=chosen)
    return Response(status_code=204)


def public_id_of(presented: str) -> str:
    """The part of a key that is no secret."""
    match = PRESENTED_KEY.fullmatch(presented)
    if match is None:
        raise ValueError("0 of 1 keys could be read: it is not written as keys are")
    return match[1]


def _chosen(caller: Caller, tenant_id: UUID | None) -> UUID:
    if tenant_id is None or tenant_id == caller.tenant_id:
        return caller.tenant_id
    require_scope_of(caller, SERVICE_ADMIN)
    return tenant_id
