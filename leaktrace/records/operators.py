"""Operators, the people who sign in to the console: made, listed, disabled; and what each role may do.

A role is a set of the scopes that API keys have, so that a person and a program are allowed things by one rule.
Passwords arrive here hashed.
"""

import re
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, InvalidInput
from leaktrace.records.audit import record_audit
from leaktrace.records.console_models import ROLES, ConsoleSession, Operator
from leaktrace.records.keys import GRANTABLE_SCOPES, SCOPES

OPERATOR_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_READING = frozenset(scope for scope in SCOPES if scope.endswith(":read"))
_MODERATING = _READING | {"batches:write", "labels:write"}
ROLE_SCOPES: dict[str, frozenset[str]] = {
    "viewer": _READING,
    "moderator": _MODERATING,
    "researcher": _MODERATING | {"generators:write", "density:write"},
    "admin": frozenset(GRANTABLE_SCOPES),
}


class OperatorExists(Conflict):
    """An operator has this name already."""

    code = "operator_exists"


def create_operator(
    session: Session, tenant_id: UUID, *, name: str, role: str, password_hash: str, actor: str = "cli"
) -> Operator:
    """Record a new operator of the tenant.

    Raises:
        InvalidInput: the name or the role is none.
        OperatorExists: the name is taken, whichever tenant it belongs to.
    """
    if OPERATOR_NAME.fullmatch(name) is None:
        raise InvalidInput(
            "an operator's name has up to 100 of: a-z 0-9 . _ @ + - and begins with a letter or digit"
        )
    if role not in ROLES:
        raise InvalidInput(f"unknown role {role!r}; choose from {', '.join(ROLES)}")
    if find_operator(session, name) is not None:
        raise OperatorExists(f"there is an operator {name!r} already; choose another name")
    operator = Operator(tenant_id=tenant_id, name=name, role=role, password_hash=password_hash)
    session.add(operator)
    session.flush()
    record_audit(session, "operator.created", tenant_id=tenant_id, actor=actor, subject=name, role=role)
    return operator


def find_operator(session: Session, name: str) -> Operator | None:
    """The operator of this name, also when disabled."""
    return session.execute(select(Operator).where(Operator.name == name)).scalar_one_or_none()


def list_operators(session: Session, tenant_id: UUID) -> list[Operator]:
    """All operators of a tenant, by name."""
    return list(
        session.scalars(select(Operator).where(Operator.tenant_id == tenant_id).order_by(Operator.name))
    )


def disable_operator(session: Session, name: str, *, actor: str = "cli") -> bool:
    """Disable at once and end the operator's sessions; False when there is none who could be."""
    statement = (
        update(Operator)
        .where(Operator.name == name, Operator.disabled_at.is_(None))
        .values(disabled_at=datetime.now(UTC))
        .returning(Operator.id, Operator.tenant_id)
    )
    disabled = session.execute(statement).one_or_none()
    if disabled is None:
        return False
    session.execute(delete(ConsoleSession).where(ConsoleSession.operator_id == disabled.id))
    record_audit(session, "operator.disabled", tenant_id=disabled.tenant_id, actor=actor, subject=name)
    return True


def note_sign_in(session: Session, operator: Operator) -> None:
    """Keep when the operator signed in last, and say so in the audit trail."""
    session.execute(update(Operator).where(Operator.id == operator.id).values(signed_in_at=func.now()))
    record_audit(
        session, "operator.signed_in", tenant_id=operator.tenant_id, actor=f"operator:{operator.name}",
        subject=operator.name,
    )  # fmt: skip
