"""From an item to a prepared image: fetch the object, check its hash, keep a presigned upload, decode and crop.

Everything that is wrong with an image is a recorded `Failure` with a code, never an exception; what is wrong with the
object store is an exception, since no image is to blame. Runs on the decode threads.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectMissing, ObjectStore, ObjectStoreUnavailable, image_key, staged_key
from leaktrace.records.leases import LeasedItem
from leaktrace.records.outcomes import Failure, Outcome, VerifiedImage
from leaktrace.science.fingerprint import perceptual_hash
from leaktrace.science.images import ImageRefused
from worker.decoding import Decoded
from worker.thumbnails import store_thumbnail

if TYPE_CHECKING:
    from leaktrace.science.preprocessing import PreparedImage

log = get_logger(__name__)


@dataclass(frozen=True)
class ImageWork:
    """One image to work on, for all items of the shard that show it. `staged_item` is set for a presigned upload."""

    item_ids: tuple[UUID, ...]
    image_id: UUID | None
    sha256: str
    attribution_id: UUID | None
    staged_item: UUID | None


@dataclass(frozen=True)
class Preparation:
    """A work whose image is ready for the model, the seconds that took by stage, and a thumbnail if there is one."""

    work: ImageWork
    image: VerifiedImage
    prepared: "PreparedImage"
    seconds: dict[str, float]
    thumbnail: bytes | None


def plan(items: Iterable[LeasedItem]) -> list[ImageWork]:
    """One work an image: items that show the same checked image share it, each presigned upload is on its own."""
    works: dict[UUID, ImageWork] = {}
    for item in items:
        key = item.image_id or item.item_id
        if key in works:
            works[key] = replace(works[key], item_ids=(*works[key].item_ids, item.item_id))
        else:
            staged = item.item_id if item.image_id is None else None
            works[key] = ImageWork((item.item_id,), item.image_id, item.sha256, item.attribution_id, staged)
    return list(works.values())


class Preparer:
    """Prepares single images; safe to use from many threads. `decode` raises `ImageRefused` for a bad one."""

    def __init__(self, store: ObjectStore, decode: Callable[[bytes], Decoded]) -> None:
        self._store = store
        self._decode = decode

    def begin(self, work: ImageWork, *, tenant_id: UUID) -> Preparation | Outcome:
        """The prepared image, or the outcome when there is nothing left for the model to do.

        Raises:
            ObjectStoreUnavailable: the store is away; try again later.
        """
        if work.attribution_id is not None and work.staged_item is None:
            return _outcome(work, attribution_id=work.attribution_id)
        started = time.perf_counter()
        try:
            data = self._fetch(work, tenant_id)
        except ObjectMissing:
            return _failed(work, "object_missing", "The image is not in the object store; upload it again.")
        if hashlib.sha256(data).hexdigest() != work.sha256:
            return _failed(work, "checksum_mismatch", f"The bytes do not have the SHA-256 {work.sha256}.")
        self._keep(work, tenant_id)
        image = VerifiedImage(sha256=work.sha256, size_bytes=len(data))
        if work.attribution_id is not None:
            return _outcome(work, image=image, attribution_id=work.attribution_id)
        fetched = time.perf_counter()
        preparation = self._prepare(work, image, data, seconds={"fetch": fetched - started})
        if isinstance(preparation, Preparation) and preparation.thumbnail is not None:
            self._keep_thumbnail(preparation.thumbnail, tenant_id=tenant_id, sha256=work.sha256)
        return preparation

    def _fetch(self, work: ImageWork, tenant_id: UUID) -> bytes:
        if work.staged_item is not None:
            return self._store.get(staged_key(tenant_id, work.staged_item))
        return self._store.get(image_key(tenant_id, work.sha256))

    def _keep(self, work: ImageWork, tenant_id: UUID) -> None:
        if work.staged_item is not None:
            self._store.copy(staged_key(tenant_id, work.staged_item), image_key(tenant_id, work.sha256))

    def _keep_thumbnail(self, thumbnail: bytes, *, tenant_id: UUID, sha256: str) -> None:
        """Store it if that can be done: an image without a thumbnail is attributed all the same."""
        try:
            store_thumbnail(self._store, thumbnail, tenant_id=tenant_id, sha256=sha256)
        except ObjectStoreUnavailable as error:
            log.warning("thumbnail_not_stored", sha256=sha256, error=str(error))

    def _prepare(
        self, work: ImageWork, image: VerifiedImage, data: bytes, *, seconds: dict[str, float]
    ) -> Preparation | Outcome:
        started = time.perf_counter()
        try:
            decoded = self._decode(data)
            fingerprint = perceptual_hash(decoded.prepared.crops)
        except ImageRefused as refusal:
            return _failed(work, refusal.code, refusal.detail, image=image)
        except Exception as error:  # a fault of ours on this one image, which must not sink its neighbours
            log.exception("image_not_prepared", sha256=work.sha256)
            detail = f"The image could not be prepared: {type(error).__name__}."
            return _failed(work, "attribution_failed", detail, image=image)
        header = decoded.prepared.header
        described = replace(
            image,
            format=header.format,
            width=header.width,
            height=header.height,
            perceptual_hash=fingerprint,
        )
        took = {**seconds, "decode": time.perf_counter() - started}
        return Preparation(work, described, decoded.prepared, took, decoded.thumbnail)


def _failed(work: ImageWork, code: str, detail: str, *, image: VerifiedImage | None = None) -> Outcome:
    return Outcome(
        item_ids=work.item_ids,
        image_id=work.image_id,
        image=image,
        result=Failure(code=code, detail=detail),
    )


def _outcome(work: ImageWork, *, attribution_id: UUID, image: VerifiedImage | None = None) -> Outcome:
    return Outcome(item_ids=work.item_ids, image_id=work.image_id, image=image, attribution_id=attribution_id)
