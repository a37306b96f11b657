"""Random training crops as a stream of batches: native pixels on the 8-pixel grid, mirrored at random, re-encoded.

A background thread prepares batches while the networks train; what it draws depends on its seed alone. Scrambled
crops (any offset, random quality) and post-processed images can be mixed in. All views of an image in a batch share
one history, as the crops of a real image do. Knows nothing of networks or losses.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaktrace.science.preprocessing import GRID_PX, SCRAMBLED_QUALITIES, reencode
from leaktrace.science.training.histories import History, draw_history

QUEUED_BATCHES = 4

Pixels = NDArray[np.uint8]
Batch = tuple[Pixels, NDArray[np.int64]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class CropPlan:
    """How crops are drawn: side, JPEG quality of the neutral protocol, shares of images with another history.

    `views` is how many crops of one image stand together in a batch.
    """

    side_px: int = 128
    jpeg_quality: int = 75
    scrambled: float = 0.0
    mirrored: float = 0.5
    processed: float = 0.0
    views: int = 1


def draw_views(pixels: Pixels, plan: CropPlan, *, generator: np.random.Generator) -> Pixels:
    """Random crops (views, side, side, 3) of (H, W, 3) pixels that share one history."""
    history = History()
    if plan.processed and generator.random() < plan.processed:
        history = draw_history(generator)
    scrambled = bool(generator.random() < plan.scrambled)
    views = []
    for _ in range(plan.views):
        window = pixels
        if history.steps:
            window = history.window(pixels, plan.side_px, generator=generator)
        views.append(draw_crop(window, plan, scrambled=scrambled, generator=generator))
    return np.stack(views)


def draw_crop(
    pixels: Pixels, plan: CropPlan, *, scrambled: bool = False, generator: np.random.Generator
) -> Pixels:
    """One random crop (side, side, 3) of (H, W, 3) pixels, re-encoded; short sides are continued by reflection."""
    short = [max(0, plan.side_px - length) for length in pixels.shape[:2]]
    if any(short):
        pixels = np.pad(pixels, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
    grid = 1 if scrambled else GRID_PX
    top, left = (
        int(generator.integers(0, (length - plan.side_px) // grid + 1)) * grid for length in pixels.shape[:2]
    )
    crop = pixels[top : top + plan.side_px, left : left + plan.side_px]
    if generator.random() < plan.mirrored:
        crop = crop[:, ::-1]
    lowest, highest = SCRAMBLED_QUALITIES
    quality = int(generator.integers(lowest, highest, endpoint=True)) if scrambled else plan.jpeg_quality
    return reencode(np.ascontiguousarray(crop), quality)


def to_tensor(crops: Pixels) -> Tensor:
    """(B, 3, H, W) uint8 -> float32 in [-1, 1], channels last."""
    images = torch.from_numpy(np.ascontiguousarray(crops)).contiguous(memory_format=torch.channels_last)
    return images.float().div_(127.5).sub_(1.0)


def crop_batches(
    images: Sequence[Pixels], plan: CropPlan, *, batch: int, crops_per_image: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch: every image `crops_per_image` times in random order, as (crops (B, 3, H, W), indices (B / views,)).

    The views of an image follow one another. The last, incomplete batch is dropped. The preparing thread ends with
    the iterator, and what it raises is raised here.
    """
    batches: queue.Queue[Batch | Exception | None] = queue.Queue(QUEUED_BATCHES)
    stopped = threading.Event()
    generator = np.random.default_rng(seed)
    images_at_once = batch // plan.views
    order = np.concatenate([generator.permutation(len(images)) for _ in range(crops_per_image // plan.views)])

    def produce() -> None:
        try:
            for start in range(0, len(order) - images_at_once + 1, images_at_once):
                chosen = order[start : start + images_at_once]
                crops = np.concatenate([draw_views(images[i], plan, generator=generator) for i in chosen])
                if not _put(batches, (crops, chosen), stopped=stopped):
                    return
            _put(batches, None, stopped=stopped)
        except Exception as error:  # whatever it is, the consumer must not wait for ever
            _put(batches, error, stopped=stopped)

    thread = threading.Thread(target=produce, name="crops", daemon=True)
    thread.start()
    try:
        while (item := batches.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield to_tensor(item[0].transpose(0, 3, 1, 2)), torch.from_numpy(item[1])
    finally:
        stopped.set()
        thread.join()


def _put(batches: "queue.Queue[Item]", item: Item, *, stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            batches.put(item, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False
