"""A density in shadow: the challenger that judges what the champion answered, until the gates decide between them.

Its judgements stand in a table of their own, so that no reader of answers can meet one. At most one version of
a model is in shadow at a time. Knows nothing of how images are judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.errors import NotFound
from leaktrace.records.densities import NewDensity, store_density
from leaktrace.records.density_models import DensityVersion, ShadowJudgement
from leaktrace.records.examples import STRATUM
from leaktrace.records.models import Attribution, Image

# The answer in one word: the generator that was named, or the verdict.
_BEFORE = func.coalesce(Attribution.generator, Attribution.verdict)
_AFTER = func.coalesce(ShadowJudgement.generator, ShadowJudgement.verdict)


class DensityNotFound(NotFound):
    """There is no such density version, or it is another tenant's."""

    code = "density_not_found"


@dataclass(frozen=True)
class StoredImage:
    """What an image can be judged again by: no bytes of it are read."""

    attribution_id: UUID
    tenant_id: UUID
    image_id: UUID
    embedding: Any
    gate: Any
    explanation: Mapping[str, Any]
    extended: bool
    stratum: str | None


STORED_COLUMNS = (
    Attribution.id,
    Attribution.tenant_id,
    Attribution.image_id,
    Attribution.embedding,
    Attribution.gate,
    Attribution.explanation,
    Attribution.extended,
    STRATUM,
)


@dataclass(frozen=True)
class ShadowScore:
    """Images judged by both, those to which the champion named a generator, and those of which that changes."""

    images: int
    named: int
    flips: int


@dataclass(frozen=True)
class Difference:
    """How many images have one answer by the champion and another, or the same, by the challenger."""

    before: str
    after: str
    images: int


@dataclass(frozen=True)
class JudgedTwice:
    """One image as the champion answered it and as the challenger would."""

    attribution_id: UUID
    image_id: UUID
    sha256: str
    before: str
    after: str
    p_before: float
    p_after: float
    reason: str


def find_shadow(session: Session, model_version: str) -> DensityVersion | None:
    """The version in shadow, if there is one."""
    statement = select(DensityVersion).where(
        DensityVersion.model_version == model_version, DensityVersion.state == "shadow"
    )
    return session.execute(statement).scalar_one_or_none()


def find_density(session: Session, version: str, *, tenant_id: UUID) -> DensityVersion:
    """A version for everybody, or the tenant's own.

    Raises:
        DensityNotFound
    """
    row = session.get(DensityVersion, version)
    if row is None or row.tenant_id not in (None, tenant_id):
        raise DensityNotFound(f"there is no density version {version}")
    return row


def enter_shadow(session: Session, new: NewDensity, *, gates: Sequence[Any]) -> None:
    """Record a version for everybody that judges in shadow from now on."""
    store_density(session, new)
    row = session.get_one(DensityVersion, new.checkpoint.version)
    row.state, row.shadowed_at, row.gates = "shadow", func.now(), list(gates)
    session.flush()


def reject_density(session: Session, version: str, *, outcome: str, gates: Sequence[Any]) -> None:
    """Keep a version from answering; `outcome` says why."""
    row = session.get_one(DensityVersion, version)
    row.state, row.outcome, row.gates = "rejected", outcome, list(gates)
    row.retired_at = func.now()
    session.flush()


def images_to_shadow(session: Session, shadow: DensityVersion, *, limit: int) -> list[StoredImage]:
    """What the champion answered since the shadow began and the challenger has not judged, the oldest first."""
    judged = select(ShadowJudgement.attribution_id).where(
        ShadowJudgement.density_version == shadow.version,
        ShadowJudgement.attribution_id == Attribution.id,
    )
    statement = (
        select(*STORED_COLUMNS)
        .where(
            Attribution.model_version == shadow.model_version,
            Attribution.density_version == shadow.details["champion"],
            Attribution.created_at >= shadow.shadowed_at,
            *can_be_judged_again(),
            ~judged.exists(),
        )
        .order_by(Attribution.id)
        .limit(limit)
    )
    return [StoredImage(*row) for row in session.execute(statement)]


def can_be_judged_again() -> tuple[ColumnElement[bool], ...]:
    """The image was answered since its gate and its attention are kept."""
    return Attribution.gate.is_not(None), Attribution.explanation.has_key("steps")


def save_judgements(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record what the challenger says; what it has said before stays."""
    if rows:
        session.execute(insert(ShadowJudgement).on_conflict_do_nothing(), list(rows))


def count_shadow(session: Session, version: str, *, tenant_id: UUID | None = None) -> ShadowScore:
    """The score so far: of all tenants, or of one."""
    found = shadow_differences(session, version, tenant_id=tenant_id)
    named = [one for one in found if one.before not in ("unseen", "inconclusive")]
    return ShadowScore(
        images=sum(one.images for one in found),
        named=sum(one.images for one in named),
        flips=sum(one.images for one in named if one.before != one.after),
    )


def shadow_differences(session: Session, version: str, *, tenant_id: UUID | None = None) -> list[Difference]:
    """How often each answer became which: of all tenants, or of one; the most frequent first."""
    before, after = _BEFORE.label("before"), _AFTER.label("after")
    statement = (
        select(before, after, func.count())
        .join_from(ShadowJudgement, Attribution, Attribution.id == ShadowJudgement.attribution_id)
        .where(*_of(version, tenant_id))
        .group_by(before, after)
        .order_by(func.count().desc(), before, after)
    )
    return [Difference(*row) for row in session.execute(statement)]


def list_judged_twice(
    session: Session,
    version: str,
    *,
    tenant_id: UUID,
    changed: bool,
    limit: int,
    before: UUID | None = None,
) -> list[JudgedTwice]:
    """A tenant's images that both judged, the newest first: those whose answer changes, or all.

    `before` begins behind an attribution.
    """
    statement = (
        select(
            Attribution.id,
            Attribution.image_id,
            Image.sha256,
            _BEFORE,
            _AFTER,
            Attribution.p_value,
            ShadowJudgement.p_value,
            ShadowJudgement.reason,
        )
        .join_from(ShadowJudgement, Attribution, Attribution.id == ShadowJudgement.attribution_id)
        .join(Image, Image.id == Attribution.image_id)
        .where(*_of(version, tenant_id))
    )
    if changed:
        statement = statement.where(_BEFORE != _AFTER)
    if before is not None:
        statement = statement.where(Attribution.id < before)
    rows = session.execute(statement.order_by(Attribution.id.desc()).limit(limit))
    return [JudgedTwice(*row) for row in rows]


def _of(version: str, tenant_id: UUID | None) -> list[ColumnElement[bool]]:
    chosen = [ShadowJudgement.density_version == version]
    return chosen if tenant_id is None else [*chosen, ShadowJudgement.tenant_id == tenant_id]
