"""Enrolled generators: what people named, of which images, and what became of it. A tenant's own until promoted.

A change (one enrolment, a merge, a split, an undo) is recorded as pending and decided by a worker, whole. What stands
for a tenant is the list of its active enrolments; its density is made from that list and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, InvalidInput, NotFound
from leaktrace.records.audit import record_audit
from leaktrace.records.batches import find_batch
from leaktrace.records.candidates import find_candidate
from leaktrace.records.models import Item
from leaktrace.records.open_set_models import Candidate, EnrolledImage, Enrolment, QuarantinedImage

STANDING = ("active", "pending", "withdrawing")


class GeneratorNotFound(NotFound):
    """The tenant has no enrolled generator of this name."""

    code = "generator_not_found"


class NameTaken(Conflict):
    """A generator of this name is known or enrolled already; merge into it, or choose another name."""

    code = "name_taken"


class NoExamples(InvalidInput):
    """None of the images can be an example: they are not the tenant's, or no model has embedded them."""

    code = "no_examples"


@dataclass(frozen=True)
class Change:
    """Who wants what, why, and for which model."""

    tenant_id: UUID
    model_version: str
    known: tuple[str, ...]  # the model's own classes, whose names are taken
    actor: str
    reason: str
    change_id: UUID = field(default_factory=uuid4)


def enrol_candidate(session: Session, change: Change, *, name: str, candidate_id: UUID) -> Enrolment:
    """Ask that a candidate's images become a generator.

    Raises:
        CandidateNotFound, NameTaken, NoExamples
    """
    candidate = find_candidate(session, change.tenant_id, candidate_id=candidate_id)
    images = select(QuarantinedImage.image_id).where(QuarantinedImage.candidate_id == candidate.id)
    image_ids = list(session.scalars(images))
    return _request(session, change, name=name, image_ids=image_ids, candidate_id=candidate.id)


def enrol_batch(session: Session, change: Change, *, name: str, batch_id: UUID) -> Enrolment:
    """Ask that the images of one batch, all made by one generator, become that generator.

    Raises:
        BatchNotFound, NameTaken, NoExamples
    """
    find_batch(session, change.tenant_id, batch_id=batch_id)
    images = select(Item.image_id).where(Item.batch_id == batch_id, Item.state == "succeeded").distinct()
    image_ids = [image_id for image_id in session.scalars(images) if image_id is not None]
    return _request(session, change, name=name, image_ids=image_ids)


def merge_generators(session: Session, change: Change, *, name: str, into: str) -> Enrolment:
    """Ask that the enrolled generator `name` becomes part of the enrolled generator `into`.

    Raises:
        GeneratorNotFound
    """
    old = [find_active(session, change, name=each) for each in (into, name)]
    images = list(dict.fromkeys(one for each in old for one in _image_ids(session, each.id)))
    return _request(session, change, name=into, image_ids=images, replaces=old)


def split_generator(
    session: Session, change: Change, *, name: str, new_name: str, image_ids: Sequence[UUID]
) -> list[Enrolment]:
    """Ask that these images of an enrolled generator become another one.

    Raises:
        GeneratorNotFound, NameTaken, NoExamples
    """
    old = find_active(session, change, name=name)
    images = _image_ids(session, old.id)
    moved = [image_id for image_id in images if image_id in set(image_ids)]
    kept = [image_id for image_id in images if image_id not in set(image_ids)]
    return [
        _request(session, change, name=name, image_ids=kept, replaces=[old]),
        _request(session, change, name=new_name, image_ids=moved),
    ]


def undo_enrolment(session: Session, change: Change, *, name: str) -> Enrolment:
    """Ask that an enrolled generator is taken back; what was said by it stays recorded.

    Raises:
        GeneratorNotFound
    """
    enrolment = find_active(session, change, name=name)
    enrolment.state = "withdrawing"
    audit_change(session, change, "generator.undo", name=name, enrolment=str(enrolment.id))
    return enrolment


def list_enrolments(session: Session, tenant_id: UUID, *, limit: int = 200) -> list[Enrolment]:
    """The tenant's enrolments, the newest first, whatever became of them."""
    statement = select(Enrolment).where(Enrolment.tenant_id == tenant_id)
    return list(session.scalars(statement.order_by(Enrolment.id.desc()).limit(limit)))


def standing_enrolments(session: Session, tenant_id: UUID, *, model_version: str) -> list[Enrolment]:
    """What is active for the tenant, the oldest first."""
    statement = select(Enrolment).where(
        Enrolment.tenant_id == tenant_id,
        Enrolment.model_version == model_version,
        Enrolment.state == "active",
        ~Enrolment.shared,
    )
    return list(session.scalars(statement.order_by(Enrolment.id)))


def list_examples(
    session: Session, tenant_id: UUID, *, model_version: str, name: str, limit: int
) -> tuple[int, list[UUID]]:
    """How many images the tenant's active generator was made of, and at most `limit` of them.

    Raises:
        GeneratorNotFound
    """
    standing = standing_enrolments(session, tenant_id, model_version=model_version)
    enrolment = next((one for one in standing if one.name == name), None)
    if enrolment is None:
        raise GeneratorNotFound(f"no generator {name} is enrolled")
    image_ids = _image_ids(session, enrolment.id)
    return len(image_ids), image_ids[:limit]


def open_changes(session: Session, model_version: str) -> list[list[Enrolment]]:
    """The undecided changes of a model, the oldest first, each with all its enrolments."""
    statement = select(Enrolment).where(
        Enrolment.model_version == model_version,
        Enrolment.state.in_(("pending", "withdrawing")),
        ~Enrolment.shared,
    )
    changes: dict[UUID, list[Enrolment]] = {}
    for enrolment in session.scalars(statement.order_by(Enrolment.id)):
        key = enrolment.id if enrolment.state == "withdrawing" else enrolment.change_id
        changes.setdefault(key, []).append(enrolment)
    return list(changes.values())


def accept(session: Session, enrolment_id: UUID, *, density_version: str, gates: list[Any]) -> None:
    """The enrolment stands from now on; what it replaces is undone, and its candidate is closed."""
    enrolment = session.get_one(Enrolment, enrolment_id)
    _decide(enrolment, "active", outcome="all gates passed", gates=gates)
    enrolment.density_version = density_version
    for replaced in enrolment.replaces:
        old = session.get_one(Enrolment, UUID(replaced))
        _decide(old, "undone", outcome=f"replaced by {enrolment.id}", gates=old.gates)
    if enrolment.candidate_id is not None:
        session.get_one(Candidate, enrolment.candidate_id).state = "enrolled"
    members = select(EnrolledImage.image_id).where(EnrolledImage.enrolment_id == enrolment_id)
    session.execute(
        update(QuarantinedImage).where(QuarantinedImage.image_id.in_(members)).values(state="enrolled")
    )


def refuse(session: Session, enrolment_id: UUID, *, outcome: str, gates: list[Any]) -> None:
    """The enrolment does not stand; `outcome` says why."""
    _decide(session.get_one(Enrolment, enrolment_id), "refused", outcome=outcome, gates=gates)


def withdraw(session: Session, enrolment_id: UUID, *, outcome: str) -> None:
    """The enrolment stands no longer; its images go back to the quarantine."""
    enrolment = session.get_one(Enrolment, enrolment_id)
    _decide(enrolment, "undone", outcome=outcome, gates=enrolment.gates)
    members = select(EnrolledImage.image_id).where(EnrolledImage.enrolment_id == enrolment_id)
    session.execute(
        update(QuarantinedImage)
        .where(QuarantinedImage.image_id.in_(members), QuarantinedImage.state == "enrolled")
        .values(state="held", candidate_id=None)
    )


def _request(
    session: Session,
    change: Change,
    *,
    name: str,
    image_ids: Sequence[UUID],
    replaces: Sequence[Enrolment] = (),
    candidate_id: UUID | None = None,
) -> Enrolment:
    _require_free(session, change, name=name, replaces=replaces)
    if not image_ids:
        raise NoExamples(f"{name} would have no examples; give images that have been attributed")
    enrolment = Enrolment(
        tenant_id=change.tenant_id,
        change_id=change.change_id,
        model_version=change.model_version,
        name=name,
        replaces=[str(old.id) for old in replaces],
        candidate_id=candidate_id,
        reason=change.reason,
        actor=change.actor,
    )
    session.add(enrolment)
    session.flush()
    rows = [{"enrolment_id": enrolment.id, "image_id": image_id} for image_id in image_ids]
    session.execute(insert(EnrolledImage), rows)
    audit_change(session, change, "generator.enrol", name=name, enrolment=str(enrolment.id), images=len(rows))
    return enrolment


def _require_free(session: Session, change: Change, *, name: str, replaces: Sequence[Enrolment]) -> None:
    statement = select(Enrolment.id).where(
        or_(Enrolment.tenant_id == change.tenant_id, Enrolment.shared),
        Enrolment.model_version == change.model_version,
        Enrolment.name == name,
        Enrolment.state.in_(STANDING),
        Enrolment.id.not_in([old.id for old in replaces]),
    )
    if name in change.known or session.scalars(statement).first() is not None:
        raise NameTaken(f"there is a generator {name} already, or one waits for its decision")


def find_active(session: Session, change: Change, *, name: str) -> Enrolment:
    """The tenant's own active generator of this name, locked.

    Raises:
        GeneratorNotFound
    """
    statement = select(Enrolment).where(
        Enrolment.tenant_id == change.tenant_id,
        Enrolment.model_version == change.model_version,
        Enrolment.name == name,
        Enrolment.state == "active",
        ~Enrolment.shared,
    )
    enrolment = session.execute(statement.with_for_update()).scalar_one_or_none()
    if enrolment is None:
        raise GeneratorNotFound(f"no generator {name} is enrolled")
    return enrolment


def _image_ids(session: Session, enrolment_id: UUID) -> list[UUID]:
    statement = select(EnrolledImage.image_id).where(EnrolledImage.enrolment_id == enrolment_id)
    return list(session.scalars(statement.order_by(EnrolledImage.image_id)))


def _decide(enrolment: Enrolment, state: str, *, outcome: str, gates: list[Any]) -> None:
    enrolment.state, enrolment.outcome, enrolment.gates = state, outcome, gates
    enrolment.decided_at = func.now()


def audit_change(session: Session, change: Change, action: str, *, name: str, **details: Any) -> None:
    """Append what was asked for to the audit trail."""
    record_audit(
        session, action, tenant_id=change.tenant_id, actor=change.actor, subject=name,
        reason=change.reason, **details,
    )  # fmt: skip
