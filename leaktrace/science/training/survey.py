"""What a file shows without its traces: bytes, header, colours and a perceptual hash, from a small copy of it.

Near-duplicates and the controls need no more, so a whole dataset is surveyed in seconds: a JPEG is shrunk while it is
decoded, which attribution itself must never do. Knows nothing of models.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin
from scipy.fft import dctn

from leaktrace.science.colours import flatten_to_srgb
from leaktrace.science.images import ImageHeader, ImageRefused, decode, read_header
from leaktrace.science.training.dataset import Sample

Floats = NDArray[np.float64]

SMALL_PX = 64
HASH_SIDE_PX = 32
HASH_FREQUENCIES = 8
HISTOGRAM_BINS = 8
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF")
SURVEYED_AT_ONCE = 200
_THREADS = 2


@dataclass(frozen=True)
class Surveyed:
    """One file: SHA-256 of its bytes (empty if they cannot be read) and, unless refused, what it shows."""

    sample: Sample
    digest: str
    header: ImageHeader | None
    perceptual: NDArray[np.bool_] | None  # (64,) bits
    colours: Floats | None
    metadata: Floats | None


def survey(samples: Sequence[Sample], *, advance: Callable[[float], None] = lambda _: None) -> list[Surveyed]:
    """Survey all samples, in order; `advance` is told the share that is done."""
    surveyed: list[Surveyed] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(samples), SURVEYED_AT_ONCE):
            surveyed += pool.map(_survey, samples[start : start + SURVEYED_AT_ONCE])
            advance(len(surveyed) / len(samples))
    return surveyed


def perceptual_hash(small: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """64 bits of a grey (32, 32) picture: which low frequencies exceed their median (the DCT hash of Zauner 2010)."""
    if small.shape != (HASH_SIDE_PX, HASH_SIDE_PX):
        raise ValueError(f"the picture has shape {small.shape}; {(HASH_SIDE_PX, HASH_SIDE_PX)} is needed")
    low = dctn(small.astype(np.float64), norm="ortho")[:HASH_FREQUENCIES, :HASH_FREQUENCIES].ravel()
    bits: NDArray[np.bool_] = low > np.median(low[1:])
    return bits


def colour_features(pixels: NDArray[np.uint8]) -> Floats:
    """Colour and contrast of (H, W, 3) pixels and nothing of their arrangement: means, deviations, histograms."""
    channels = pixels.reshape(-1, 3).astype(np.float64) / 255
    grey = channels.mean(axis=1)
    saturation = channels.max(axis=1) - channels.min(axis=1)
    columns = [*channels.T, grey, saturation]
    histograms = [
        np.histogram(column, bins=HISTOGRAM_BINS, range=(0, 1))[0] / len(column) for column in columns
    ]
    moments = [(column.mean(), column.std()) for column in columns]
    return np.concatenate([np.ravel(moments), np.sqrt(np.ravel(histograms))])


def metadata_features(data: bytes, header: ImageHeader, *, info: dict[str, object], tables: Floats) -> Floats:
    """Everything about a file but its picture: size, format, compression, which blocks it carries."""
    pixels = header.width * header.height
    return np.concatenate(
        [
            [np.log(header.width), np.log(header.height), np.log(header.width / header.height)],
            [np.log(len(data) / pixels), float(header.width == header.height)],
            [float(header.format == name) for name in FORMATS],
            [float(name in info) for name in ("exif", "icc_profile", "jfif", "adobe", "dpi")],
            tables,
        ]
    )


def _survey(sample: Sample) -> Surveyed:
    try:
        data = sample.path.read_bytes()
    except OSError:
        return Surveyed(sample, "", None, None, None, None)
    digest = hashlib.sha256(data).hexdigest()
    try:
        header = read_header(data)
        picture, info, tables = _small(data, header)
    except ImageRefused:
        return Surveyed(sample, digest, None, None, None, None)
    grey = picture.convert("L").resize((HASH_SIDE_PX, HASH_SIDE_PX), Image.Resampling.LANCZOS)
    tiny = picture.resize((SMALL_PX, SMALL_PX), Image.Resampling.BOX)
    return Surveyed(
        sample,
        digest,
        header,
        perceptual_hash(np.asarray(grey)),
        colour_features(np.asarray(tiny)),
        metadata_features(data, header, info=info, tables=tables),
    )


def _small(data: bytes, header: ImageHeader) -> tuple[Image.Image, dict[str, object], Floats]:
    """The picture at reduced size, what its file carries beside it, and a JPEG's table sums and subsampling."""
    if header.format != "JPEG":
        return Image.fromarray(decode(data).pixels), {}, np.zeros(4)
    image = JpegImagePlugin.JpegImageFile(BytesIO(data))
    sums = [float(sum(table)) for table in image.quantization.values()][:2]
    sampling = JpegImagePlugin.get_sampling(image)
    tables = np.array([*np.log1p([*sums, *[0.0] * (2 - len(sums))]), sampling == 2, sampling == 0])
    info: dict[str, object] = {str(key): value for key, value in image.info.items()}
    try:
        image.draft("RGB", (2 * SMALL_PX, 2 * SMALL_PX))
        return flatten_to_srgb(image), info, tables
    except Exception:  # decoders signal by almost every exception; the full decoder has the last word
        return Image.fromarray(decode(data).pixels), info, tables
