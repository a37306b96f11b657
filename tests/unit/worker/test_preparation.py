"""From an item to a prepared image without a server: what is read, checked, kept and refused."""

import hashlib
from collections.abc import Callable
from uuid import UUID, uuid4

import numpy as np
import pytest

from leaktrace.objects import ObjectMissing, ObjectStoreUnavailable, image_key, staged_key, thumbnail_key
from leaktrace.records.leases import LeasedItem
from leaktrace.records.outcomes import Failure, Outcome
from leaktrace.science.images import ImageHeader
from leaktrace.science.preprocessing import PreparedImage
from worker.decoding import Decoded
from worker.preparation import ImageWork, Preparation, Preparer, plan

TENANT = UUID(int=1)
IMAGE = UUID(int=2)
DATA = b"the bytes of an image"
SHA256 = hashlib.sha256(DATA).hexdigest()
THUMBNAIL = b"a small picture"


class DictStore:
    """An object store in a dictionary, for what the preparation asks of one."""

    def __init__(self, objects: dict[str, bytes] | None = None, *, away: bool = False) -> None:
        self.objects = objects or {}
        self.away = away
        self.reads: list[str] = []

    def get(self, key: str) -> bytes:
        if self.away:
            raise ObjectStoreUnavailable("no answer")
        self.reads.append(key)
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key]

    def copy(self, source: str, target: str) -> None:
        self.objects[target] = self.objects[source]

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        assert content_type == "image/jpeg"
        self.objects[key] = body


class FullStore(DictStore):
    """A store that takes nothing more."""

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        raise ObjectStoreUnavailable(f"no room for {len(body)} bytes of {content_type} under {key}")


def decode(_data: bytes) -> Decoded:
    prepared = PreparedImage(
        crops=np.zeros((1, 3, 32, 32), dtype=np.uint8),
        header=ImageHeader("PNG", 300, 200),
        sha256=SHA256,
        content_hash=bytes(32),
        extended=False,
    )
    return Decoded(prepared, THUMBNAIL)


def work(
    *, image_id: UUID | None = IMAGE, attribution_id: UUID | None = None, staged: UUID | None = None
) -> ImageWork:
    return ImageWork((UUID(int=3),), image_id, SHA256, attribution_id, staged)


def begin(
    store: DictStore, given: ImageWork, *, decode: Callable[[bytes], Decoded] = decode
) -> Preparation | Outcome:
    return Preparer(store, decode).begin(given, tenant_id=TENANT)  # type: ignore[arg-type]


def code_of(outcome: Preparation | Outcome) -> str:
    assert isinstance(outcome, Outcome)
    assert isinstance(outcome.result, Failure)
    return outcome.result.code


def leased(image_id: UUID | None, attribution_id: UUID | None = None) -> LeasedItem:
    return LeasedItem(uuid4(), image_id, SHA256, attribution_id)


def test_items_share_image_work() -> None:
    first, second = leased(UUID(int=7)), leased(UUID(int=7))
    (shared,) = plan([first, second])
    assert (shared.item_ids, shared.staged_item) == ((first.item_id, second.item_id), None)


def test_staged_uploads_stay_apart() -> None:
    items = [leased(None), leased(None)]
    assert [one.staged_item for one in plan(items)] == [item.item_id for item in items]


def test_every_item_is_planned_once() -> None:
    items = [leased(image_id) for image_id in (UUID(int=1), None, UUID(int=2), UUID(int=1), None)]
    planned = [item_id for one in plan(items) for item_id in one.item_ids]
    assert sorted(planned) == sorted(item.item_id for item in items)


def test_prepared_image_is_described() -> None:
    prepared = begin(DictStore({image_key(TENANT, SHA256): DATA}), work())
    assert isinstance(prepared, Preparation)
    assert (prepared.image.format, prepared.image.width, prepared.image.height, prepared.image.size_bytes) == (
        "PNG", 300, 200, len(DATA),
    )  # fmt: skip


def test_stages_are_timed() -> None:
    prepared = begin(DictStore({image_key(TENANT, SHA256): DATA}), work())
    assert isinstance(prepared, Preparation)
    assert sorted(prepared.seconds) == ["decode", "fetch"]


def test_known_attribution_reads_nothing() -> None:
    store = DictStore()
    outcome = begin(store, work(attribution_id=UUID(int=9)))
    assert isinstance(outcome, Outcome)
    assert (outcome.attribution_id, store.reads) == (UUID(int=9), [])


def test_known_staged_image_is_checked() -> None:
    item = UUID(int=3)
    store = DictStore({staged_key(TENANT, item): b"other bytes"})
    outcome = begin(store, work(image_id=None, attribution_id=UUID(int=9), staged=item))
    assert code_of(outcome) == "checksum_mismatch"


def test_true_staged_image_is_kept() -> None:
    item = UUID(int=3)
    store = DictStore({staged_key(TENANT, item): DATA})
    begin(store, work(image_id=None, staged=item))
    assert store.objects[image_key(TENANT, SHA256)] == DATA


def test_false_staged_image_is_dropped() -> None:
    item = UUID(int=3)
    store = DictStore({staged_key(TENANT, item): b"other bytes"})
    begin(store, work(image_id=None, staged=item))
    assert image_key(TENANT, SHA256) not in store.objects


def test_thumbnail_is_kept() -> None:
    store = DictStore({image_key(TENANT, SHA256): DATA})
    begin(store, work())
    assert store.objects[thumbnail_key(TENANT, SHA256)] == THUMBNAIL


def test_unkept_thumbnail_fails_no_image() -> None:
    prepared = begin(FullStore({image_key(TENANT, SHA256): DATA}), work())
    assert isinstance(prepared, Preparation)


def test_missing_object_is_outcome() -> None:
    assert code_of(begin(DictStore(), work())) == "object_missing"


def test_absent_store_is_no_outcome() -> None:
    with pytest.raises(ObjectStoreUnavailable):
        begin(DictStore(away=True), work())


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError()])
def test_our_fault_fails_one_image(error: BaseException) -> None:
    def broken(_data: bytes) -> Decoded:
        raise error

    outcome = begin(DictStore({image_key(TENANT, SHA256): DATA}), work(), decode=broken)
    assert code_of(outcome) == "attribution_failed"
