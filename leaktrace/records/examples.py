"""Stored embeddings of images, as enrolments and gates need them: examples of a generator, and named live traffic.

An answer that a person contradicted is no live traffic that has to stay as it is. Knows nothing of what is measured.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import exists, insert, literal, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from leaktrace.records.labels import newest_judgement
from leaktrace.records.models import Attribution, Image
from leaktrace.records.open_set_models import EnrolledImage, Label

# The processing stratum that an image had when it was answered; null where it was not known.
STRATUM = Attribution.calibration["stratum"].as_string()
EXAMPLE_COLUMNS = (Attribution.image_id, Attribution.embedding, Attribution.gate, STRATUM)


@dataclass(frozen=True)
class ExampleRow:
    """An example as an enrolment needs it; `gate` is None for images judged before gates were kept."""

    image_id: UUID
    embedding: Any
    gate: Any
    stratum: str | None


def read_examples(session: Session, enrolment_id: UUID, *, model_version: str) -> list[ExampleRow]:
    """The newest embedding and gate of each of an enrolment's images, in the order of the images' ids."""
    statement = (
        select(*EXAMPLE_COLUMNS)
        .join(EnrolledImage, EnrolledImage.image_id == Attribution.image_id)
        .where(
            EnrolledImage.enrolment_id == enrolment_id,
            Attribution.model_version == model_version,
            Attribution.embedding.is_not(None),
        )
        .ext(distinct_on(Attribution.image_id))
        .order_by(Attribution.image_id, Attribution.id.desc())
    )
    return [ExampleRow(*row) for row in session.execute(statement)]


def read_named(
    session: Session,
    tenant_id: UUID | None,
    *,
    model_version: str,
    examples_of: Collection[UUID] = (),
    limit: int,
) -> list[ExampleRow]:
    """The newest named images, of a tenant or of all: the live traffic that must not flip.

    Images of which a person says that another generator made them, or none that is known, are left out, and so are
    the examples of the enrolments `examples_of`.
    """
    said = aliased(Label)
    contradicted = exists().where(
        said.id == newest_judgement(), said.generator.is_distinct_from(Attribution.generator)
    )
    example = exists().where(
        EnrolledImage.image_id == Attribution.image_id, EnrolledImage.enrolment_id.in_(examples_of)
    )
    statement = (
        select(*EXAMPLE_COLUMNS)
        .join(Image, Image.id == Attribution.image_id)
        .where(
            literal(True) if tenant_id is None else Attribution.tenant_id == tenant_id,
            Attribution.model_version == model_version,
            Attribution.verdict == "generator",
            Attribution.gate.is_not(None),
            ~contradicted,
            ~example,
        )
        .order_by(Attribution.id.desc())
        .limit(limit)
    )
    return [ExampleRow(*row) for row in session.execute(statement)]


def copy_examples(session: Session, enrolment_id: UUID, *, to: UUID) -> None:
    """Give an enrolment the examples of another one."""
    examples = select(literal(to), EnrolledImage.image_id).where(EnrolledImage.enrolment_id == enrolment_id)
    session.execute(insert(EnrolledImage).from_select(["enrolment_id", "image_id"], examples))
