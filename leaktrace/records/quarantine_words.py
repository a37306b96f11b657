"""What people say goes before what the model says: their labels bring images into the quarantine and take them out.

An image that somebody says no known generator made is taken in although the model named one, and before what the model
left open; one of which somebody says that a known generator made it is left out while that stands. Only the newest
judgement that nobody took back counts. Out of the quarantine into what is known nothing moves here: that takes an
enrolment.
"""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, any_, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from leaktrace.records.labels import newest_judgement
from leaktrace.records.models import Attribution, Image, Item, ModelVersion
from leaktrace.records.open_set_models import Enrolment, Label, QuarantinedImage
from leaktrace.records.quarantine import UNNAMED, Unnamed


def find_called_unknown(
    session: Session, model_version: str, *, limit: int, lifetime: timedelta | None = None
) -> list[Unnamed]:
    """Images that people call unknown and the model does not, and that the quarantine has not taken in.

    Their age counts from the label, so that it can be taken back before they are looked at. With a `lifetime`, none
    whose label is older.
    """
    said, later = aliased(Label), aliased(Attribution)
    batch = select(Item.batch_id).where(Item.image_id == Attribution.image_id).order_by(Item.id).limit(1)
    taken_in = exists().where(
        QuarantinedImage.image_id == Attribution.image_id, QuarantinedImage.model_version == model_version
    )
    judged_later = exists().where(
        later.image_id == Attribution.image_id,
        later.model_version == model_version,
        later.id > Attribution.id,
    )
    statement = (
        select(
            Attribution.tenant_id,
            Attribution.image_id,
            Attribution.id,
            batch.scalar_subquery(),
            Attribution.model_version,
            Image.perceptual_hash,
            said.created_at,
        )
        .join(Image, Image.id == Attribution.image_id)
        .join(said, and_(said.tenant_id == Image.tenant_id, said.sha256 == Image.sha256))
        .where(
            Attribution.model_version == model_version,
            Attribution.verdict != "unseen",
            literal(True) if lifetime is None else said.created_at >= func.now() - lifetime,
            said.id == newest_judgement(),
            ~_is_known(said, model_version),
            ~taken_in,
            ~judged_later,
        )
        .order_by(said.id)
        .limit(limit)
    )
    return [Unnamed(*row) for row in session.execute(statement)]


def heed_labels(session: Session, model_version: str) -> tuple[int, int]:
    """Take out of the quarantine what people name, and back in what they do so no longer; returns both numbers."""
    belongs = or_(
        _is_called_unknown(model_version), and_(Attribution.verdict.in_(UNNAMED), ~_is_named(model_version))
    )
    left = _move(session, model_version, ~belongs, before="held", after="named")
    returned = _move(session, model_version, belongs, before="named", after="held")
    return left, returned


def list_called_unknown(session: Session, model_version: str, *, image_ids: Collection[UUID]) -> set[UUID]:
    """Which of the images people call unknown."""
    statement = select(Image.id).where(Image.id.in_(image_ids), _is_called_unknown(model_version))
    return set(session.scalars(statement))


def _is_called_unknown(model_version: str) -> ColumnElement[bool]:
    """Of the image a person says that no known generator made it, or one that the model does not know."""
    said = aliased(Label)
    return exists().where(said.id == newest_judgement(), ~_is_known(said, model_version))


def _is_named(model_version: str) -> ColumnElement[bool]:
    said = aliased(Label)
    return exists().where(said.id == newest_judgement(), _is_known(said, model_version))


def _is_known(said: type[Label], model_version: str) -> ColumnElement[bool]:
    """The label names a class of the model, or a generator that is enrolled for the tenant or for everybody."""
    trained = exists().where(
        ModelVersion.version == model_version, said.generator == any_(ModelVersion.classes)
    )
    enrolled = exists().where(
        Enrolment.model_version == model_version,
        Enrolment.name == said.generator,
        Enrolment.state == "active",
        or_(Enrolment.tenant_id == said.tenant_id, Enrolment.shared),
    )
    return or_(trained, enrolled)


def _move(
    session: Session, model_version: str, chosen: ColumnElement[bool], *, before: str, after: str
) -> int:
    entries = (
        select(QuarantinedImage.id)
        .join(Image, Image.id == QuarantinedImage.image_id)
        .join(Attribution, Attribution.id == QuarantinedImage.attribution_id)
        .where(QuarantinedImage.model_version == model_version, QuarantinedImage.state == before, chosen)
    )
    statement = (
        update(QuarantinedImage)
        .where(QuarantinedImage.id.in_(entries))
        .values(state=after, candidate_id=None)
        .returning(QuarantinedImage.id)
        .execution_options(synchronize_session=False)
    )
    return len(session.scalars(statement).all())
