"""Re-scores: asked for by a person, carried out by a worker step by step, and read as a report of what differs.

Each step is a transaction, and what is left is what has no row yet, so a re-score that was broken off goes on where it
ended. Knows nothing of how images are judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, NotFound
from leaktrace.records.audit import record_audit
from leaktrace.records.base import first_id_at
from leaktrace.records.batches import find_batch
from leaktrace.records.challengers import STORED_COLUMNS, StoredImage, can_be_judged_again
from leaktrace.records.models import Attribution, Image, Item
from leaktrace.records.rescore_models import Rescore, RescoredItem

OPEN_STATES = ("asked", "running")


class RescoreNotFound(NotFound):
    """The tenant has no such re-score."""

    code = "rescore_not_found"


class RescoreInProgress(Conflict):
    """One re-score of a tenant runs at a time; wait for it."""

    code = "rescore_in_progress"


@dataclass(frozen=True)
class Selection:
    """Which items: those of a batch, or those submitted in a range of time."""

    batch_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class ItemToRescore:
    """An answered item that has not been judged again."""

    item_id: UUID
    image_id: UUID
    sha256: str
    before_id: UUID


def ask_rescore(
    session: Session, tenant_id: UUID, *, selection: Selection, actor: str, reason: str
) -> Rescore:
    """Ask that these items are judged again by what is in force.

    Raises:
        BatchNotFound, RescoreInProgress
    """
    if selection.batch_id is not None:
        find_batch(session, tenant_id, batch_id=selection.batch_id)
    standing = select(Rescore.id).where(Rescore.tenant_id == tenant_id, Rescore.state.in_(OPEN_STATES))
    running = session.scalars(standing.limit(1)).first()
    if running is not None:
        raise RescoreInProgress(f"re-score {running} is not finished; wait for it")
    rescore = Rescore(tenant_id=tenant_id, actor=actor, reason=reason, **vars(selection))
    session.add(rescore)
    session.flush()
    subject = str(rescore.id)
    record_audit(session, "rescore.asked", tenant_id=tenant_id, actor=actor, subject=subject, reason=reason)
    return rescore


def find_rescore(session: Session, tenant_id: UUID, *, rescore_id: UUID) -> Rescore:
    """One of the tenant's re-scores.

    Raises:
        RescoreNotFound
    """
    rescore = session.get(Rescore, rescore_id)
    if rescore is None or rescore.tenant_id != tenant_id:
        raise RescoreNotFound(f"there is no re-score {rescore_id}")
    return rescore


def list_rescores(session: Session, tenant_id: UUID, *, limit: int = 100) -> list[Rescore]:
    """The tenant's, the newest first."""
    statement = select(Rescore).where(Rescore.tenant_id == tenant_id)
    return list(session.scalars(statement.order_by(Rescore.id.desc()).limit(limit)))


def next_rescore(session: Session, model_version: str) -> Rescore | None:
    """The oldest that is open and that workers of this model can do."""
    ours = Rescore.model_version.is_(None) | (Rescore.model_version == model_version)
    statement = select(Rescore).where(Rescore.state.in_(OPEN_STATES), ours)
    return session.scalars(statement.order_by(Rescore.id).limit(1)).first()


def begin_rescore(session: Session, rescore_id: UUID, *, model_version: str, density_version: str) -> None:
    """Fix what judges, and count the run; a re-score that had begun keeps what it began with."""
    rescore = session.get_one(Rescore, rescore_id)
    rescore.attempts += 1
    if rescore.state == "asked":
        rescore.state, rescore.started_at = "running", func.now()
        rescore.model_version, rescore.density_version = model_version, density_version


def end_rescore(session: Session, rescore_id: UUID, *, error: str | None = None) -> None:
    """Say that it is done, or why it cannot be."""
    rescore = session.get_one(Rescore, rescore_id)
    rescore.state, rescore.error = "failed" if error else "completed", error
    rescore.finished_at = func.now()


def items_to_rescore(session: Session, rescore: Rescore, *, limit: int) -> list[ItemToRescore]:
    """The next answered items that have no row yet, in the order of their ids."""
    done = select(RescoredItem.item_id).where(
        RescoredItem.rescore_id == rescore.id, RescoredItem.item_id == Item.id
    )
    statement = (
        select(Item.id, Item.image_id, Image.sha256, Item.attribution_id)
        .join(Image, Image.id == Item.image_id)
        .where(*_selected(rescore), Item.state == "succeeded", ~done.exists())
        .order_by(Item.id)
        .limit(limit)
    )
    rows: Sequence[Any] = session.execute(statement).all()  # a succeeded item has its image and its answer
    return [ItemToRescore(*row) for row in rows]


def stored_images(
    session: Session, model_version: str, *, image_ids: Sequence[UUID]
) -> dict[UUID, StoredImage]:
    """What the model made of each image, by the image's id, as far as that can be judged again."""
    statement = (
        select(*STORED_COLUMNS)
        .where(
            Attribution.image_id.in_(image_ids),
            Attribution.model_version == model_version,
            *can_be_judged_again(),
        )
        .ext(distinct_on(Attribution.image_id))
        .order_by(Attribution.image_id, Attribution.id.desc())
    )
    found = (StoredImage(*row) for row in session.execute(statement))
    return {image.image_id: image for image in found}


def judged_already(session: Session, rescore: Rescore, *, image_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The attributions by the re-score's own versions that there are, by the image's id."""
    statement = select(Attribution.image_id, Attribution.id).where(
        Attribution.image_id.in_(image_ids),
        Attribution.model_version == rescore.model_version,
        Attribution.density_version == rescore.density_version,
    )
    return dict(session.execute(statement).all())


def save_rescored(session: Session, rescore_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record items' answers before and after; what was recorded before stays."""
    session.get_one(Rescore, rescore_id).attempts = 0
    session.execute(
        insert(RescoredItem).on_conflict_do_nothing(), [{"rescore_id": rescore_id, **row} for row in rows]
    )


def count_selected(session: Session, rescore: Rescore) -> int:
    """How many answered items it is of."""
    statement = select(func.count()).select_from(Item).where(*_selected(rescore), Item.state == "succeeded")
    return session.scalars(statement).one()


def _selected(rescore: Rescore) -> list[ColumnElement[bool]]:
    chosen = [Item.tenant_id == rescore.tenant_id]
    if rescore.batch_id is not None:
        chosen.append(Item.batch_id == rescore.batch_id)
    # Ids are made in the order of time, and are indexed.
    if rescore.since is not None:
        chosen.append(Item.id >= first_id_at(rescore.since))
    # What is submitted while it runs is judged by what is in force anyway.
    return [*chosen, Item.id < first_id_at(rescore.until or rescore.created_at)]
