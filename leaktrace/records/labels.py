"""Labels and appeals: what people say of an image beside what the model said, with who, when and why.

The newest confirmation or correction of a content stands; an appeal that is newer than it is open; what was taken back
counts as if it had not been said. Labels belong to a tenant and are found by the content's hash, so that they hold at
once for the same bytes in any later batch.
"""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased, defer

from leaktrace.errors import Conflict, NotFound
from leaktrace.records.audit import record_audit
from leaktrace.records.images import find_image
from leaktrace.records.models import Attribution, Image
from leaktrace.records.open_set_models import Label

LabelKind = Literal["confirm", "correct", "appeal", "withdraw"]


class NothingToConfirm(Conflict):
    """The image has no verdict that could be confirmed; correct it instead, or wait for its attribution."""

    code = "nothing_to_confirm"


class LabelNotFound(NotFound):
    """Nothing of this id was said of the image."""

    code = "label_not_found"


class AlreadyWithdrawn(Conflict):
    """The label was taken back before."""

    code = "already_withdrawn"


@dataclass(frozen=True)
class NewLabel:
    """What a person says; `generator` belongs to a correction (None: no known generator) and may go with an appeal,
    `label_id` to what takes a label back.

    A `trusted` one may change the density that judges everybody.
    """

    kind: LabelKind
    reason: str
    generator: str | None = None
    trusted: bool = False
    label_id: UUID | None = None


@dataclass(frozen=True)
class Standing:
    """What holds of a content now: the newest judgement, if there is one, and the appeal that is open, if any."""

    judgement: Label | None
    appeal: Label | None


def add_label(session: Session, tenant_id: UUID, *, image_id: UUID, said: NewLabel, actor: str) -> Label:
    """Append one label to the image's content. The model's own answer stays as it is.

    Raises:
        ImageNotFound: the tenant has no such image.
        NothingToConfirm: a confirmation of an image without a verdict, or with an inconclusive one.
        LabelNotFound, AlreadyWithdrawn: what is to be taken back was not said of the image, or does not stand.
    """
    sha256 = find_image(session, tenant_id, image_id=image_id).sha256
    if said.kind == "withdraw":
        _require_standing(session, tenant_id, sha256=sha256, label_id=said.label_id)
    seen = _latest_attribution(session, image_id)
    label = Label(**facts_of_label(tenant_id, sha256, seen, said=said, actor=actor))
    session.add(label)
    session.flush()
    record_audit(
        session,
        f"label.{said.kind}",
        tenant_id=tenant_id,
        actor=actor,
        subject=sha256,
        label=str(label.id),
        generator=label.generator,
    )
    return label


def facts_of_label(
    tenant_id: UUID,
    sha256: str,
    seen: Attribution | None,
    *,
    said: NewLabel,
    actor: str,
    bulk_id: UUID | None = None,
) -> dict[str, Any]:
    """The columns of what was said of a content whose newest attribution is `seen`.

    Raises:
        NothingToConfirm: a confirmation without a verdict, or of an inconclusive one.
    """
    return {
        "tenant_id": tenant_id,
        "sha256": sha256,
        "kind": said.kind,
        "generator": _confirmed(seen) if said.kind == "confirm" else said.generator,
        "reason": said.reason,
        "actor": actor,
        "trusted": said.trusted,
        "attribution_id": seen.id if seen else None,
        "model_version": seen.model_version if seen else None,
        "density_version": seen.density_version if seen else None,
        "verdict": seen.verdict if seen else None,
        "withdraws": said.label_id,
        "bulk_id": bulk_id,
    }


def stands(label: type[Label]) -> ColumnElement[bool]:
    """The label says something of the image, and nobody has taken that back."""
    taken_back = aliased(Label)
    return and_(label.kind != "withdraw", ~exists().where(taken_back.withdraws == label.id))


def newest_judgement() -> ColumnElement[UUID]:
    """In a query of images, the id of the confirmation or correction that stands of the image's content."""
    said = aliased(Label)
    newest = select(said.id).where(
        said.tenant_id == Image.tenant_id, said.sha256 == Image.sha256, said.kind != "appeal", stands(said)
    )
    return newest.order_by(said.id.desc()).limit(1).correlate(Image).scalar_subquery()


def list_labels(session: Session, tenant_id: UUID, *, image_id: UUID) -> list[Label]:
    """Everything that was said of the image's content, the newest first.

    Raises:
        ImageNotFound: the tenant has no such image.
    """
    return labels_of(session, tenant_id, [find_image(session, tenant_id, image_id=image_id).sha256])


def labels_of(session: Session, tenant_id: UUID, sha256s: list[str]) -> list[Label]:
    """Everything that was said of these contents, the newest first."""
    statement = select(Label).where(Label.tenant_id == tenant_id, Label.sha256.in_(sha256s))
    return list(session.scalars(statement.order_by(Label.id.desc())))


def standing_of(session: Session, tenant_id: UUID, sha256s: list[str]) -> dict[str, Standing]:
    """What holds of each of these contents; contents that nobody spoke of are left out."""
    standings: dict[str, Standing] = {}
    for label in session.scalars(_newest_by_content(tenant_id, sha256s)):
        before = standings.get(label.sha256, Standing(None, None))
        if label.kind == "appeal":
            standings[label.sha256] = Standing(before.judgement, label)
        else:
            standings[label.sha256] = Standing(label, before.appeal)
    return {sha256: _settle(standing) for sha256, standing in standings.items()}


def _newest_by_content(tenant_id: UUID, sha256s: list[str]) -> Select[Label]:
    """The newest label of each kind and content, in the order of their age."""
    newest = (
        select(Label.id)
        .where(Label.tenant_id == tenant_id, Label.sha256.in_(sha256s), stands(Label))
        .ext(distinct_on(Label.sha256, Label.kind))
        .order_by(Label.sha256, Label.kind, Label.id.desc())
    )
    return select(Label).where(Label.id.in_(newest.scalar_subquery())).order_by(Label.id)


def _settle(standing: Standing) -> Standing:
    """An appeal is open until a judgement follows it."""
    judgement, appeal = standing.judgement, standing.appeal
    if judgement is not None and appeal is not None and judgement.id > appeal.id:
        return Standing(judgement, None)
    return standing


def _require_standing(session: Session, tenant_id: UUID, *, sha256: str, label_id: UUID | None) -> None:
    said = (
        Label.tenant_id == tenant_id,
        Label.sha256 == sha256,
        Label.id == label_id,
        Label.kind != "withdraw",
    )
    standing = session.execute(select(stands(Label)).where(*said)).scalar_one_or_none()
    if standing is None:
        raise LabelNotFound(f"nothing under the id {label_id} was said of this image")
    if not standing:
        raise AlreadyWithdrawn(f"the label {label_id} was taken back before")


def _latest_attribution(session: Session, image_id: UUID) -> Attribution | None:
    statement = select(Attribution).options(defer(Attribution.embedding))
    newest = statement.where(Attribution.image_id == image_id).order_by(Attribution.id.desc()).limit(1)
    return session.execute(newest).scalar_one_or_none()


def _confirmed(seen: Attribution | None) -> str | None:
    if seen is None or seen.verdict == "inconclusive":
        state = "not been attributed" if seen is None else "an inconclusive verdict"
        raise NothingToConfirm(f"the image has {state}: there is nothing to confirm")
    return seen.generator
