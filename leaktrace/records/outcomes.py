"""Outcomes: what became of the items of a leased shard, written in one transaction with the shard's end.

Two shards may bring the same image at the same time: rows are inserted in one order everywhere, conflicts do nothing,
and the ids are selected afterwards, so both end at the one row that won. Knows nothing of how images are attributed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, case, cast, column, func, select, tuple_, update, values
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.records.leases import Lease, finish_shard, give_back, lock_held
from leaktrace.records.models import Attribution, Image, Item


@dataclass(frozen=True, kw_only=True)
class VerifiedImage:
    """Bytes whose hash was checked; format and size in pixels are None when they could not be decoded."""

    sha256: str
    size_bytes: int
    format: str | None = None
    width: int | None = None
    height: int | None = None
    perceptual_hash: int | None = None


@dataclass(frozen=True, kw_only=True)
class NewAttribution:
    """What a model says of one image, as the columns of `attributions` hold it; `embedding` is (D,) float32."""

    density_version: str
    verdict: str
    generator: str | None
    p_value: float
    smallest_p: float
    alpha: float
    reason: str
    probabilities: Mapping[str, float]
    p_values: Mapping[str, float]
    calibration: Mapping[str, Any]
    explanation: Mapping[str, Any]
    extended: bool
    timings: Mapping[str, float]
    embedding: Any
    gate: Any  # (D,) or None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an item has no attribution: a stable code and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one image for all items of the shard that show it.

    Exactly one of `result` and the id of an earlier attribution, `attribution_id`, is given. `image` is there when the
    bytes were read and are what they should be.
    """

    item_ids: tuple[UUID, ...]
    image_id: UUID | None
    image: VerifiedImage | None = None
    result: NewAttribution | Failure | None = None
    attribution_id: UUID | None = None


@dataclass(frozen=True)
class SavedShard:
    """What the save changed beyond the items: the state that the batch entered, if it entered one."""

    batch_state: str | None


def save_outcomes(
    session: Session, lease: Lease, outcomes: Sequence[Outcome], *, model_version: str
) -> SavedShard | None:
    """Write all outcomes and finish the shard; None, with nothing written, when the lease was lost.

    Raises:
        ValueError: the outcomes are not exactly one for each item of the lease.
    """
    _check_complete(lease, outcomes)
    shard = lock_held(session, lease)
    if shard is None:
        return None
    _store(session, lease, outcomes, model_version)
    return SavedShard(batch_state=finish_shard(session, shard))


def save_part(session: Session, lease: Lease, outcomes: Sequence[Outcome], *, model_version: str) -> bool:
    """Write the outcomes that there are and give the rest of the shard back; False when nothing is to be sent again."""
    shard = lock_held(session, lease)
    if shard is None:
        return False
    _store(session, lease, outcomes, model_version)
    return give_back(session, shard)


def _check_complete(lease: Lease, outcomes: Sequence[Outcome]) -> None:
    decided = sorted(item_id for outcome in outcomes for item_id in outcome.item_ids)
    expected = sorted(item.item_id for item in lease.items)
    if decided != expected:
        raise ValueError(f"the shard has {len(expected)} items and {len(decided)} outcomes; each needs one")


def _store(session: Session, lease: Lease, outcomes: Sequence[Outcome], model_version: str) -> None:
    if not outcomes:
        return
    image_ids = _store_images(session, lease, outcomes)
    attribution_ids = _store_attributions(session, lease, outcomes, image_ids, model_version)
    _store_items(session, _item_rows(outcomes, image_ids, attribution_ids))


def _store_images(session: Session, lease: Lease, outcomes: Sequence[Outcome]) -> list[UUID | None]:
    """The image id of each outcome, after new images were inserted and decoded ones described."""
    read = {outcome.image.sha256: outcome.image for outcome in outcomes if outcome.image is not None}
    ordered = [read[sha256] for sha256 in sorted(read)]
    new = {outcome.image.sha256 for outcome in outcomes if outcome.image and outcome.image_id is None}
    rows = [asdict(image) | {"tenant_id": lease.tenant_id} for image in ordered if image.sha256 in new]
    if rows:
        session.execute(insert(Image).on_conflict_do_nothing(index_elements=["tenant_id", "sha256"]), rows)
    ids = _describe_images(session, lease.tenant_id, read)
    return [
        outcome.image_id or (ids[outcome.image.sha256] if outcome.image is not None else None)
        for outcome in outcomes
    ]


def _describe_images(session: Session, tenant_id: UUID, read: Mapping[str, VerifiedImage]) -> dict[str, UUID]:
    """Record format and size where they are not yet known; returns the ids by SHA-256."""
    statement = (
        select(Image)
        .where(Image.tenant_id == tenant_id, Image.sha256.in_(list(read)))
        .order_by(Image.sha256)
        .with_for_update(key_share=True)
    )
    images = list(session.scalars(statement))
    for image in images:
        facts = read[image.sha256]
        if image.format is None and facts.format is not None:
            image.format, image.width, image.height = facts.format, facts.width, facts.height
            image.perceptual_hash = facts.perceptual_hash
    session.flush()
    return {image.sha256: image.id for image in images}


def _store_attributions(
    session: Session,
    lease: Lease,
    outcomes: Sequence[Outcome],
    image_ids: Sequence[UUID | None],
    model_version: str,
) -> dict[UUID, UUID]:
    """Insert what is new; returns the attribution's id by image id, whoever wrote it."""
    new = {
        image_id: outcome.result
        for outcome, image_id in zip(outcomes, image_ids, strict=True)
        if image_id is not None and isinstance(outcome.result, NewAttribution)
    }
    return store_attributions(session, lease.tenant_id, new=new, model_version=model_version)


def store_attributions(
    session: Session, tenant_id: UUID, *, new: Mapping[UUID, NewAttribution], model_version: str
) -> dict[UUID, UUID]:
    """Insert attributions by image id where there are none by these versions; returns the ids, whoever wrote them."""
    if not new:
        return {}
    shared = {"tenant_id": tenant_id, "model_version": model_version}
    rows = [_columns(new[image_id]) | shared | {"image_id": image_id} for image_id in sorted(new)]
    key = ["image_id", "model_version", "density_version"]
    session.execute(insert(Attribution).on_conflict_do_nothing(index_elements=key), rows)
    found = select(Attribution.image_id, Attribution.id).where(
        tuple_(Attribution.image_id, Attribution.density_version).in_(
            [(image_id, new[image_id].density_version) for image_id in new]
        ),
        Attribution.model_version == model_version,
    )
    return dict(session.execute(found).all())


def _columns(attribution: NewAttribution) -> dict[str, Any]:
    # Not asdict: it would copy the embedding and walk the explanation, which is the larger part of the row.
    return {name: getattr(attribution, name) for name in NewAttribution.__dataclass_fields__}


def _item_rows(
    outcomes: Sequence[Outcome], image_ids: Sequence[UUID | None], attribution_ids: Mapping[UUID, UUID]
) -> list[tuple[UUID, UUID | None, UUID | None, str | None, str | None]]:
    rows = []
    for outcome, image_id in zip(outcomes, image_ids, strict=True):
        failure = outcome.result if isinstance(outcome.result, Failure) else None
        attribution_id = outcome.attribution_id
        if isinstance(outcome.result, NewAttribution) and image_id is not None:
            attribution_id = attribution_ids[image_id]
        code, detail = (failure.code, failure.detail) if failure else (None, None)
        rows += [(item_id, image_id, attribution_id, code, detail) for item_id in outcome.item_ids]
    return rows


def _store_items(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    decided = values(
        column("id", Uuid),
        column("image_id", Uuid),
        column("attribution_id", Uuid),
        column("error_code", Text),
        column("error_detail", Text),
        name="decided",
    ).data(rows)
    # The casts are for a column that is NULL in every row, which Postgres takes for text.
    session.execute(
        update(Item)
        .where(Item.id == decided.c.id, Item.state == "running")
        .values(
            state=case((decided.c.error_code.is_(None), "succeeded"), else_="failed"),
            image_id=func.coalesce(cast(decided.c.image_id, Uuid), Item.image_id),
            attribution_id=cast(decided.c.attribution_id, Uuid),
            error_code=decided.c.error_code,
            error_detail=decided.c.error_detail,
            finished_at=func.now(),
        )
        .execution_options(synchronize_session=False)
    )
