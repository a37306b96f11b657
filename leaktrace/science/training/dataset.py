"""Labelled images on disk, their prompt-disjoint splits, and the guard that keeps the test split out of training.

Reads a manifest.csv, a folder that holds one, or a folder of generator/images. Everything that fits anything
(networks, temperature, density, calibration) takes a `FittingSet`, which cannot be built from a test or open image,
nor from a file whose bytes also stand in the test split. Knows nothing of tensors.
"""

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leaktrace.errors import InvalidInput
from leaktrace.science.images import DecodedImage, decode

Split = Literal["train", "val", "test", "open"]
Purpose = Literal["train", "select", "calibrate"]

# Which split may serve which purpose. Selection uses a fold of the training prompts, so that the validation split
# stays fresh for the temperature and the conformal calibration.
ALLOWED: dict[Purpose, Split] = {"train": "train", "select": "train", "calibrate": "val"}
SELECTION_FOLDS = 5
IMAGE_SUFFIXES = frozenset(
    {".avif", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
REAL = "real"
# How far an unseen generator is from the known ones.
TIERS = ("near", "medium", "far")


class DatasetUnreadable(InvalidInput):
    """A path is neither a manifest nor a folder of images by generator."""

    code = "dataset_unreadable"


class SplitLeak(InvalidInput):
    """Images that must stay unseen were offered for fitting."""

    code = "split_leak"

    def __init__(self, files: Sequence[str], *, purpose: Purpose, why: str) -> None:
        self.files, self.purpose = tuple(files), purpose
        shown = ", ".join(self.files[:3])
        super().__init__(f"{len(self.files)} images cannot be used to {purpose}: {why} (first: {shown})")


@dataclass(frozen=True)
class Sample:
    """One labelled image. `prompt` keeps pictures of one prompt in one split; `file` is relative to the dataset.

    `tier` is how far its generator is from the known ones, where the manifest says so; otherwise it is empty.
    """

    path: Path
    file: str
    generator: str
    split: Split
    prompt: str
    tier: str = ""


@dataclass(frozen=True)
class Dataset:
    """The samples of one manifest or folder; `digest` identifies which files it listed under which split.

    `declared` is true when the splits come from a manifest and false when they were drawn here.
    """

    samples: tuple[Sample, ...]
    digest: str
    declared: bool

    def split(self, split: Split) -> list[Sample]:
        """The samples of one split, in the manifest's order."""
        return [sample for sample in self.samples if sample.split == split]


@dataclass(frozen=True)
class FittingSet:
    """Samples that may be used for one purpose. `fitting_set` is the only way in; the check also guards direct use."""

    samples: tuple[Sample, ...]
    purpose: Purpose

    def __post_init__(self) -> None:
        allowed = ALLOWED[self.purpose]
        wrong = [sample.file for sample in self.samples if sample.split != allowed]
        if wrong:
            raise SplitLeak(wrong, purpose=self.purpose, why=f"only the {allowed} split may be")

    @property
    def generators(self) -> tuple[str, ...]:
        """The sorted names of the classes that occur."""
        return tuple(sorted({sample.generator for sample in self.samples}))


def read_dataset(path: str | Path) -> Dataset:
    """Read a manifest.csv, a folder holding one, or a folder of generator/images.

    Raises DatasetUnreadable when the path is neither or holds no image.
    """
    root = Path(path)
    manifest = root if root.is_file() else root / "manifest.csv"
    if manifest.is_file():
        samples, declared = _from_manifest(manifest)
    elif root.is_dir():
        samples, declared = _from_folders(root), False
    else:
        raise DatasetUnreadable(f"{path} does not exist: give a manifest.csv or a folder of generator/images")
    if not samples:
        raise DatasetUnreadable(
            f"{path} lists no image: expected generator/image files or rows in a manifest"
        )
    listing = "\n".join(f"{s.file}\t{s.generator}\t{s.split}" for s in sorted(samples, key=lambda s: s.file))
    return Dataset(tuple(samples), hashlib.sha256(listing.encode()).hexdigest(), declared)


def fitting_set(dataset: Dataset, *, purpose: Purpose, hold_out: bool = False) -> FittingSet:
    """The samples of `dataset` for one purpose, checked byte for byte against its test split.

    With `hold_out`, `train` leaves every fifth training prompt to `select`; without, it takes them all.
    Raises SplitLeak when one of the files also occurs among the test or open images.
    """
    samples = dataset.split(ALLOWED[purpose])
    if purpose == "select" or (purpose == "train" and hold_out):
        held = _held_prompts(samples)
        samples = [s for s in samples if ((s.generator, s.prompt) in held) == (purpose == "select")]
    unseen = {digest for _, digest in _digests([*dataset.split("test"), *dataset.split("open")])}
    copies = [sample.file for sample, digest in _digests(samples) if digest in unseen]
    if copies:
        raise SplitLeak(copies, purpose=purpose, why="the same bytes stand in the test or open split")
    return FittingSet(tuple(samples), purpose)


def load_pixels(
    samples: Sequence[Sample], *, advance: Callable[[], None] = lambda: None
) -> list[DecodedImage]:
    """Decode all samples, in order; `advance` is called once an image. Raises ImageRefused for an unusable file."""

    def load(sample: Sample) -> DecodedImage:
        image = decode(sample.path.read_bytes())
        advance()
        return image

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(load, samples))


def file_digest(sample: Sample) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    return hashlib.sha256(sample.path.read_bytes()).hexdigest()


def _digests(samples: Iterable[Sample]) -> list[tuple[Sample, str]]:
    return [(sample, file_digest(sample)) for sample in samples]


def _held_prompts(samples: Sequence[Sample]) -> set[tuple[str, str]]:
    """Every fifth prompt over all generators; classes without shared prompts hold out every fifth of their own."""
    shared = sorted({sample.prompt for sample in samples if sample.generator != REAL})
    held = set(shared[::SELECTION_FOLDS])
    real = sorted(sample.prompt for sample in samples if sample.generator == REAL)
    pairs = {(sample.generator, sample.prompt) for sample in samples if sample.prompt in held}
    return {pair for pair in pairs if pair[0] != REAL} | {
        (REAL, prompt) for prompt in real[::SELECTION_FOLDS]
    }


def _from_manifest(manifest: Path) -> tuple[list[Sample], bool]:
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = {"file", "generator"} - set(rows[0] if rows else ())
    if missing:
        raise DatasetUnreadable(f"{manifest} has no column {', '.join(sorted(missing))}")
    return [_row_sample(row, manifest) for row in rows], bool(rows) and "split" in rows[0]


def _row_sample(row: dict[str, str], manifest: Path) -> Sample:
    file = row["file"]
    prompt = row.get("prompt") or Path(file).stem
    split = _split(row, prompt)
    return Sample(manifest.parent / file, file, row["generator"], split, prompt, _tier(row))


def _tier(row: dict[str, str]) -> str:
    """The column `tier`, or a role that is the name of a tier."""
    role = row.get("role") or ""
    return row.get("tier") or (role if role in TIERS else "")


def _split(row: dict[str, str], prompt: str) -> Split:
    """The row's split. A name that is not train, val or open counts as test: such an image is never fitted on."""
    if row.get("role") in ("open", *TIERS) or row.get("split") == "open":
        return "open"
    if "split" not in row:
        return _drawn_split(prompt)
    return "train" if row["split"] == "train" else "val" if row["split"] == "val" else "test"


def _from_folders(root: Path) -> list[Sample]:
    files = sorted(path for path in root.glob("*/**/*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return [
        Sample(path, str(relative), relative.parts[0], _drawn_split(path.stem), path.stem)
        for path in files
        for relative in (path.relative_to(root),)
    ]


def _drawn_split(prompt: str) -> Split:
    """60 % train, 20 % val, 20 % test, by a hash of the prompt: equal file names stay together over generators."""
    share = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big") / 2**32
    return "train" if share < 0.6 else "val" if share < 0.8 else "test"
