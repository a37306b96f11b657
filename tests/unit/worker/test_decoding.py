"""Decoding within a budget of pixels: small images side by side, large ones one after the other."""

import threading
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from leaktrace.science.images import DecodeLimits, ImageRefused
from tests.attributors import FakeAttributor
from tests.submissions import picture, wait_until
from worker.decoding import FrugalDecoder, PixelBudget
from worker.thumbnails import LONGEST_SIDE_PX

SECONDS = 10


class Watched:
    """Notes how many pixels were in work at the same time at most."""

    def __init__(self, budget: PixelBudget) -> None:
        self.budget = budget
        self.now = self.most = 0
        self.lock = threading.Lock()

    def work(self, pixels: int) -> None:
        with self.budget.hold(pixels):
            with self.lock:
                self.now += pixels
                self.most = max(self.most, self.now)
            with self.lock:
                self.now -= pixels


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=12))
def test_budget_is_never_exceeded(sizes: list[int]) -> None:
    watched = Watched(PixelBudget(100))
    threads = [threading.Thread(target=watched.work, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert watched.most <= 100
    assert not any(thread.is_alive() for thread in threads)


def test_large_image_waits_for_room() -> None:
    budget, entered = PixelBudget(100), threading.Event()

    def enter() -> None:
        with budget.hold(60):
            entered.set()

    with budget.hold(50):
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.1)
    waiting.join(SECONDS)
    assert entered.is_set()


def test_small_images_share_room() -> None:
    budget = PixelBudget(100)
    with budget.hold(50), budget.hold(50):
        assert budget._free == 0


def test_failure_gives_room_back() -> None:
    budget = PixelBudget(100)
    with pytest.raises(KeyError), budget.hold(100):
        raise KeyError
    assert budget._free == 100


def test_decoder_holds_the_image() -> None:
    seen: list[int] = []

    def prepare(data: bytes, *, limits: DecodeLimits, show: Any) -> Any:
        assert show is not None
        seen.append(decoder._budget._free)
        return len(data), limits.max_pixels

    decoder = FrugalDecoder(prepare, DecodeLimits(max_pixels=20_000))
    data = picture(1)
    assert (decoder(data).prepared, seen) == ((len(data), 20_000), [20_000 - 128 * 128])


def test_decoder_draws_a_thumbnail() -> None:
    decoded = FrugalDecoder(FakeAttributor().prepare, DecodeLimits())(picture(1, side=512))
    assert decoded.thumbnail is not None
    assert Picture.open(BytesIO(decoded.thumbnail)).size == (LONGEST_SIDE_PX, LONGEST_SIDE_PX)


def test_failed_thumbnail_fails_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_image: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("worker.decoding.draw_thumbnail", fail)
    decoded = FrugalDecoder(FakeAttributor().prepare, DecodeLimits())(picture(1))
    assert (decoded.thumbnail, decoded.prepared.header.width) == (None, 128)


def test_refused_header_takes_no_room() -> None:
    decoder = FrugalDecoder(lambda *_args, **_limits: None, DecodeLimits(max_pixels=100))  # type: ignore[arg-type]
    with pytest.raises(ImageRefused):
        decoder(picture(1))
    wait_until(lambda: decoder._budget._free == 100)
