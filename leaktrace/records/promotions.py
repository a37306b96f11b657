"""Promotions: a tenant's enrolled generator becomes everybody's, and may be taken back.

Only those who run the service ask for one. A promotion is an enrolment marked `shared`. It takes the place of the
tenant's own, which comes back when the promotion is taken back. Knows nothing of densities.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leaktrace.records.enrolments import (
    STANDING,
    Change,
    GeneratorNotFound,
    NameTaken,
    audit_change,
    find_active,
)
from leaktrace.records.examples import copy_examples
from leaktrace.records.open_set_models import Enrolment


def promote_generator(session: Session, change: Change, *, name: str) -> Enrolment:
    """Ask that the tenant's enrolled generator becomes everybody's.

    Raises:
        GeneratorNotFound, NameTaken
    """
    own = find_active(session, change, name=name)
    if name in change.known or name in promoted_names(session, change.model_version):
        raise NameTaken(f"everybody knows a generator {name} already, or one waits for its decision")
    promotion = Enrolment(
        tenant_id=change.tenant_id,
        change_id=change.change_id,
        model_version=change.model_version,
        name=name,
        shared=True,
        replaces=[str(own.id)],
        reason=change.reason,
        actor=change.actor,
    )
    session.add(promotion)
    session.flush()
    copy_examples(session, own.id, to=promotion.id)
    audit_change(session, change, "generator.promote", name=name, enrolment=str(promotion.id))
    return promotion


def demote_generator(session: Session, change: Change, *, name: str) -> Enrolment:
    """Ask that a promotion is taken back; the generator is its tenant's own again.

    Raises:
        GeneratorNotFound
    """
    statement = select(Enrolment).where(
        Enrolment.model_version == change.model_version,
        Enrolment.shared,
        Enrolment.name == name,
        Enrolment.state == "active",
    )
    promotion = session.execute(statement.with_for_update()).scalar_one_or_none()
    if promotion is None:
        raise GeneratorNotFound(f"no generator {name} was promoted to everybody")
    promotion.state = "withdrawing"
    audit_change(session, change, "generator.demote", name=name, enrolment=str(promotion.id))
    return promotion


def standing_promotions(session: Session, model_version: str) -> list[Enrolment]:
    """What is everybody's now, the oldest first."""
    return _promotions(session, model_version, states=("active",))


def open_promotions(session: Session, model_version: str) -> list[Enrolment]:
    """What waits for a decision, the oldest first."""
    return _promotions(session, model_version, states=("pending", "withdrawing"))


def promoted_names(session: Session, model_version: str) -> set[str]:
    """Names that are taken for everybody, or may be soon."""
    return {one.name for one in _promotions(session, model_version, states=STANDING)}


def withdraw_promotion(session: Session, enrolment_id: UUID, *, outcome: str) -> None:
    """The generator is no longer everybody's, and its tenant's own enrolment stands again."""
    promotion = session.get_one(Enrolment, enrolment_id)
    promotion.state, promotion.outcome, promotion.decided_at = "undone", outcome, func.now()
    for replaced in promotion.replaces:
        own = session.get_one(Enrolment, UUID(replaced))
        if own.state == "undone":
            own.state, own.outcome, own.decided_at = "active", f"no longer everybody's: {outcome}", func.now()
    session.flush()


def restore_promotions(session: Session, model_version: str, *, kept: Collection[UUID], reason: str) -> None:
    """Let the promotions that stand be these, as a density before had them."""
    for promotion in standing_promotions(session, model_version):
        if promotion.id not in kept:
            withdraw_promotion(session, promotion.id, outcome=f"rolled back: {reason}")
    for enrolment_id in kept:
        promotion = session.get_one(Enrolment, enrolment_id)
        if promotion.state != "active":
            promotion.state, promotion.outcome = "active", f"restored by a rollback: {reason}"
            for replaced in promotion.replaces:
                session.get_one(Enrolment, UUID(replaced)).state = "undone"
    session.flush()


def _promotions(session: Session, model_version: str, *, states: Collection[str]) -> list[Enrolment]:
    statement = select(Enrolment).where(
        Enrolment.model_version == model_version, Enrolment.shared, Enrolment.state.in_(states)
    )
    return list(session.scalars(statement.order_by(Enrolment.id)))
