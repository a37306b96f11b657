"""One label for many images at once: which are chosen, what the label would say, and how it is taken back.

Only images that nobody has judged and that lie before no other reviewer are chosen. All labels of one go share an id,
by which they are taken back together; each is appended for itself, like any other.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, cast, exists, func, insert, or_, select
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import Session, defer

from leaktrace.errors import Conflict
from leaktrace.records.audit import record_audit
from leaktrace.records.labels import LabelNotFound, NewLabel, facts_of_label, stands
from leaktrace.records.models import Attribution, Image, Item
from leaktrace.records.nearest import find_nearest
from leaktrace.records.open_set_models import Label, QuarantinedImage
from leaktrace.records.review_queue import is_kept_for_another, is_newest, is_unjudged

MOST_AT_ONCE = 5_000


class ChoiceChanged(Conflict):
    """Other images are chosen now than were looked at; look again."""

    code = "choice_changed"


@dataclass(frozen=True)
class Choice:
    """Conditions that all have to hold; None leaves out nothing.

    `near` takes the `nearest` images that resemble an image most, `copies_of` those whose perceptual hash differs from
    the image's in at most `copy_bits` bits; both with the image itself.
    """

    verdict: str | None = None
    generator: str | None = None
    batch_id: UUID | None = None
    candidate_id: UUID | None = None
    largest_p: float | None = None
    near: UUID | None = None
    nearest: int = 20
    copies_of: UUID | None = None
    copy_bits: int = 6


@dataclass(frozen=True)
class Chosen:
    """The images that would be labelled with their newest attributions, and how many more the choice holds.

    `unconfirmable` counts images with an inconclusive verdict, which a confirmation leaves out.
    """

    images: list[tuple[Image, Attribution]]
    left_out: int
    unconfirmable: int

    @property
    def verdicts(self) -> dict[str, int]:
        """How many images the model says what of."""
        said = Counter(attribution.generator or attribution.verdict for _, attribution in self.images)
        return dict(said.most_common())


def choose_images(
    session: Session, tenant_id: UUID, *, choice: Choice, said: NewLabel, actor: str, lock: bool = False
) -> Chosen:
    """At most 5,000 images that the choice holds, the oldest attribution first; with `lock` nobody else decides them.

    Raises:
        AttributionNotFound: the image that others are to be near to is not the tenant's, or has no embedding.
    """
    statement = _matching(session, tenant_id, choice=choice, actor=actor)
    total = session.execute(select(func.count()).select_from(statement.subquery())).scalar_one()
    unconfirmable = 0
    if said.kind == "confirm":
        statement = statement.where(Attribution.verdict != "inconclusive")
        confirmable = session.execute(select(func.count()).select_from(statement.subquery())).scalar_one()
        unconfirmable, total = total - confirmable, confirmable
    entities = statement.with_only_columns(Image, Attribution).options(defer(Attribution.embedding))
    entities = entities.order_by(Attribution.id).limit(MOST_AT_ONCE)
    if lock:
        entities = entities.with_for_update(of=Image, skip_locked=True, key_share=True)
    images = [(image, attribution) for image, attribution in session.execute(entities)]
    return Chosen(images, left_out=total - len(images), unconfirmable=unconfirmable)


def label_images(
    session: Session, tenant_id: UUID, *, choice: Choice, said: NewLabel, actor: str, expected: int
) -> tuple[UUID, Chosen]:
    """Label all that is chosen, which must be `expected` images; returns the id by which it is taken back.

    Raises:
        ChoiceChanged: it is another number of images now.
        AttributionNotFound: as for `choose_images`.
    """
    chosen = choose_images(session, tenant_id, choice=choice, said=said, actor=actor, lock=True)
    if len(chosen.images) != expected:
        raise ChoiceChanged(
            f"{len(chosen.images)} images are chosen now, not {expected} as when you looked: look again"
        )
    bulk_id = uuid4()
    rows = [
        facts_of_label(tenant_id, image.sha256, seen, said=said, actor=actor, bulk_id=bulk_id)
        for image, seen in chosen.images
    ]
    if rows:
        session.execute(insert(Label), rows)
    record_audit(
        session, "label.bulk", tenant_id=tenant_id, actor=actor, subject=str(bulk_id),
        kind=said.kind, generator=said.generator, images=expected, reason=said.reason,
    )  # fmt: skip
    return bulk_id, chosen


def undo_labels(session: Session, tenant_id: UUID, *, bulk_id: UUID, reason: str, actor: str) -> int:
    """Take back all labels of one go that stand still; returns how many.

    Raises:
        LabelNotFound: the tenant's people labelled nothing under this id.
    """
    mine = (Label.tenant_id == tenant_id, Label.bulk_id == bulk_id, Label.kind != "withdraw")
    if session.scalar(select(Label.id).where(*mine).limit(1)) is None:
        raise LabelNotFound(f"nothing was labelled at once under the id {bulk_id}")
    standing = session.scalars(select(Label).where(*mine, stands(Label)).with_for_update()).all()
    if standing:
        session.execute(insert(Label), [_withdrawal(one, reason=reason, actor=actor) for one in standing])
    record_audit(
        session, "label.bulk_undone", tenant_id=tenant_id, actor=actor, subject=str(bulk_id),
        images=len(standing), reason=reason,
    )  # fmt: skip
    return len(standing)


def _withdrawal(label: Label, *, reason: str, actor: str) -> dict[str, Any]:
    facts = (
        "tenant_id",
        "sha256",
        "attribution_id",
        "model_version",
        "density_version",
        "verdict",
        "bulk_id",
    )
    kept = {name: getattr(label, name) for name in facts}
    return {**kept, "kind": "withdraw", "withdraws": label.id, "reason": reason, "actor": actor}


def _matching(session: Session, tenant_id: UUID, *, choice: Choice, actor: str) -> Select[UUID]:
    statement = (
        select(Attribution.id)
        .join(Image, Image.id == Attribution.image_id)
        .where(
            Attribution.tenant_id == tenant_id,
            Image.tenant_id == tenant_id,
            is_newest(),
            is_unjudged(),
            ~is_kept_for_another(actor),
        )
    )
    if choice.verdict is not None:
        statement = statement.where(Attribution.verdict == choice.verdict)
    if choice.generator is not None:
        statement = statement.where(Attribution.generator == choice.generator)
    if choice.largest_p is not None:
        statement = statement.where(Attribution.p_value <= choice.largest_p)
    if choice.batch_id is not None:
        in_batch = exists().where(Item.image_id == Image.id, Item.batch_id == choice.batch_id)
        statement = statement.where(in_batch)
    if choice.candidate_id is not None:
        member = exists().where(
            QuarantinedImage.image_id == Image.id, QuarantinedImage.candidate_id == choice.candidate_id
        )
        statement = statement.where(member)
    if choice.near is not None:
        statement = statement.where(
            Image.id.in_(_near(session, tenant_id, choice=choice, image_id=choice.near))
        )
    if choice.copies_of is not None:
        statement = statement.where(_copies(tenant_id, choice=choice, image_id=choice.copies_of))
    return statement


def _near(session: Session, tenant_id: UUID, *, choice: Choice, image_id: UUID) -> Sequence[UUID]:
    _, found = find_nearest(session, tenant_id, image_id=image_id, limit=choice.nearest)
    return [image_id, *(one.attribution.image_id for one in found)]


def _copies(tenant_id: UUID, *, choice: Choice, image_id: UUID) -> ColumnElement[bool]:
    own = select(Image.perceptual_hash).where(Image.tenant_id == tenant_id, Image.id == image_id)
    differing = func.bit_count(cast(Image.perceptual_hash.bitwise_xor(own.scalar_subquery()), BIT(64)))
    return or_(Image.id == image_id, differing <= choice.copy_bits)
