"""Decoded pixels -> the crops that a model reads, under a named protocol that belongs to the model's version.

No protocol but `paper` resizes anything: resampling erases the traces that attribution looks for. Every protocol is
deterministic; what `scrambled` draws at random is drawn from the image's own content. It knows nothing of files,
tensors or models.

- neutral: native crops whose corners lie on the 8-pixel grid of JPEG blocks, each re-encoded at one quality;
- native: the same crops as published, without re-encoding;
- scrambled: native crops off that grid, each re-encoded at a quality from 60 to 95, so that an image's compression
  history says nothing;
- paper: shorter side to `crop_px` (bilinear, antialiased), then crops of the resized image; no re-encoding.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leaktrace.science.images import DecodedImage, ImageHeader

Protocol = Literal["neutral", "paper", "native", "scrambled"]
Pixels = NDArray[np.uint8]

PROTOCOLS: tuple[Protocol, ...] = ("neutral", "paper", "native", "scrambled")
SCRAMBLED_QUALITIES = (60, 95)
GRID_PX = 8
# Raised whenever the same protocol starts to give other pixels, so that models tell the two apart.
_REVISION = 1


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become crops; part of a model's card and of its version.

    `crops` is the number of crops an image gives. An image that more crops would tile gives as many as tile it, up to
    `most_crops` when that is larger. `jpeg_quality` is the quality that `neutral` re-encodes at.
    """

    protocol: Protocol = "neutral"
    crop_px: int = 256
    crops: int = 1
    jpeg_quality: int = 75
    most_crops: int = 0

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol is {self.protocol!r}; it must be one of {', '.join(PROTOCOLS)}")
        if self.crop_px < GRID_PX or self.crop_px % GRID_PX:
            raise ValueError(f"crop_px is {self.crop_px}; it must be a positive multiple of {GRID_PX}")
        if self.crops < 1:
            raise ValueError(f"crops is {self.crops}; it must be at least 1")
        if self.most_crops < 0:
            raise ValueError(f"most_crops is {self.most_crops}; it must be 0 or more")
        if not 1 <= self.jpeg_quality <= 95:
            raise ValueError(f"jpeg_quality is {self.jpeg_quality}; it must be from 1 to 95")

    @property
    def most(self) -> int:
        """The largest number of crops that any image gives."""
        return max(self.crops, self.most_crops)

    def crops_of(self, height: int, width: int) -> int:
        """How many crops an image of `height` x `width` pixels gives."""
        tiles = height * width // self.crop_px**2
        return min(self.most, max(self.crops, tiles))

    def hash(self) -> str:
        """SHA-256 over every field and the revision of this code, in hexadecimal."""
        fields = json.dumps(asdict(self) | {"revision": _REVISION}, sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()


@dataclass(frozen=True)
class Box:
    """Where a crop lies in the upright image, in its pixels; what lies beyond the image's edge is left out."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class PreparedImage:
    """Crops (N, 3, crop_px, crop_px) uint8 of one image, and what identifies it.

    `content_hash` is the SHA-256 of the prepared pixels (32 bytes; it seeds the noise), `sha256` that of the file.
    `extended` is true when the image was too small for a crop and was continued by its own reflection. `boxes` says
    where each crop was cut, in their order; it is for people to look at, and nothing is computed from it.
    """

    crops: Pixels
    header: ImageHeader
    sha256: str
    content_hash: bytes
    extended: bool
    boxes: tuple[Box, ...] = ()


def prepare(image: DecodedImage, preprocessing: Preprocessing) -> PreparedImage:
    """Cut and re-encode the crops of one image; the same pixels give the same crops on every call."""
    cut = _cut_by_protocol(image.pixels, preprocessing)
    stacked = _stacked(cut)
    return PreparedImage(
        crops=stacked,
        header=image.header,
        sha256=image.sha256,
        content_hash=content_hash(stacked),
        extended=cut.extended,
        boxes=_boxes(cut, image.header, side=preprocessing.crop_px),
    )


def cut_crops(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """The crops (N, 3, crop_px, crop_px) that an image of (H, W, 3) pixels gives."""
    return _stacked(_cut_by_protocol(pixels, preprocessing))


def content_hash(pixels: Pixels) -> bytes:
    """SHA-256 over shape and values of an array of pixels: 32 bytes."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


@dataclass(frozen=True)
class _Cut:
    """The crops, and the corner (top, left) of each on the canvas; `scale` is the canvas's size over the image's."""

    crops: list[Pixels]
    corners: list[tuple[int, int]]
    extended: bool = False
    scale: tuple[float, float] = (1.0, 1.0)  # vertical, horizontal


def _cut_by_protocol(pixels: Pixels, preprocessing: Preprocessing) -> _Cut:
    if preprocessing.protocol == "paper":
        return _paper(pixels, preprocessing)
    if preprocessing.protocol == "scrambled":
        return _scrambled(pixels, preprocessing)
    return _on_grid(pixels, preprocessing)


def _stacked(cut: _Cut) -> Pixels:
    return np.ascontiguousarray(np.stack(cut.crops).transpose(0, 3, 1, 2))  # (N, h, w, 3) -> (N, 3, h, w)


def _boxes(cut: _Cut, header: ImageHeader, *, side: int) -> tuple[Box, ...]:
    """The crops' places in the image itself."""
    down, across = cut.scale
    boxes = []
    for top, left in cut.corners:
        upper, lower = round(top / down), min(header.height, round((top + side) / down))
        near, far = round(left / across), min(header.width, round((left + side) / across))
        boxes.append(Box(left=near, top=upper, width=far - near, height=lower - upper))
    return tuple(boxes)


def _on_grid(pixels: Pixels, preprocessing: Preprocessing) -> _Cut:
    """Protocols `neutral` and `native`."""
    canvas, extended = _extended(pixels, preprocessing.crop_px)
    height, width = canvas.shape[:2]
    number = preprocessing.crops_of(height, width)
    corners = list(_spread(height, width, crops=number, side=preprocessing.crop_px, grid_px=GRID_PX))
    crops = [_cut(canvas, top, left=left, side=preprocessing.crop_px) for top, left in corners]
    if preprocessing.protocol == "neutral":
        crops = [reencode(crop, preprocessing.jpeg_quality) for crop in crops]
    return _Cut(crops, corners, extended)


def _scrambled(pixels: Pixels, preprocessing: Preprocessing) -> _Cut:
    """Random corners, never on the grid: a side without room for that is extended by up to 7 pixels."""
    generator = np.random.default_rng(int.from_bytes(content_hash(pixels)))
    side = preprocessing.crop_px
    canvas, extended = _extended(pixels, side + GRID_PX - 1)
    tops, lefts = (_off_grid(length - side) for length in canvas.shape[:2])
    lowest, highest = SCRAMBLED_QUALITIES
    crops, corners = [], []
    for _ in range(preprocessing.crops_of(*pixels.shape[:2])):
        top, left = int(generator.choice(tops)), int(generator.choice(lefts))
        crop = _cut(canvas, top, left=left, side=side)
        crops.append(reencode(crop, int(generator.integers(lowest, highest, endpoint=True))))
        corners.append((top, left))
    return _Cut(crops, corners, extended)


def _off_grid(span: int) -> list[int]:
    return [corner for corner in range(span + 1) if corner % GRID_PX]


def _paper(pixels: Pixels, preprocessing: Preprocessing) -> _Cut:
    """Resize the shorter side as the paper's release does; its centre crop is the crop of N = 1."""
    side = preprocessing.crop_px
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    corners = list(_spread(*resized.shape[:2], crops=preprocessing.crops, side=side, grid_px=1))
    crops = [_cut(resized, top, left=left, side=side) for top, left in corners]
    return _Cut(crops, corners, scale=(size[1] / height, size[0] / width))


def _spread(height: int, width: int, *, crops: int, side: int, grid_px: int) -> Iterator[tuple[int, int]]:
    """Corners (top, left) of N crops, spread evenly over the image and rounded down to the grid.

    The crops lie in rows, in as many as suits the image's shape, with as equal a number in each as N allows; a row
    or column of one is centred. On an image without room they overlap, down to N times the same crop.
    """
    rows = min(crops, max(1, round((crops * height / width) ** 0.5)))
    for row in range(rows):
        top = _position(row, rows, span=height - side)
        columns = crops * (row + 1) // rows - crops * row // rows
        for column in range(columns):
            left = _position(column, columns, span=width - side)
            yield top // grid_px * grid_px, left // grid_px * grid_px


def _position(index: int, count: int, *, span: int) -> int:
    return span // 2 if count == 1 else span * index // (count - 1)


def _extended(pixels: Pixels, side: int) -> tuple[Pixels, bool]:
    """Continue short sides at the bottom and right by reflection, so that the pixels there stay on their grid.

    The edge pixel is repeated: whole blocks then mirror onto whole blocks.
    """
    missing = [max(0, side - length) for length in pixels.shape[:2]]
    if not any(missing):
        return pixels, False
    return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric"), True


def _cut(pixels: Pixels, top: int, *, left: int, side: int) -> Pixels:
    return pixels[top : top + side, left : left + side]


def reencode(pixels: Pixels, quality: int) -> Pixels:
    """One pass through baseline JPEG, 4:2:0, standard Huffman tables: (H, W, 3) uint8 in and out."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file, formats=("JPEG",)) as image:
        return np.asarray(image)
