"""Which images the demo shows when none are named: shared ones beside the repository, or pictures out of packages.

A sample is drawn evenly over the generators of a manifest, always the same, from the images that no model was trained
on. Nothing is downloaded.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from leaktrace.client.files import SourceFile, UploadFile
from leaktrace.client.sources import count_images, files_in
from leaktrace.errors import InvalidInput

SHARED_IMAGES = Path(__file__).parents[3] / "shared" / "images"
SAMPLED_SPLITS = frozenset({"test", "open"})
IMAGES_PER_GENERATOR = 12
# Photographs and scans that lie inside wheels; drawings, text and test patterns of the same folders are left out.
PACKAGED_PICTURES = (
    ("scikit-learn", "sklearn", "datasets/images", ("china.jpg", "flower.jpg")),
    (
        "scikit-image",
        "skimage",
        "data",
        (
            *(
                "astronaut.png",
                "brick.png",
                "camera.png",
                "chelsea.png",
                "coffee.png",
                "coins.png",
                "grass.png",
            ),
            *("gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
            *("retina.jpg", "rocket.jpg"),
        ),
    ),
)


class NoDemoImages(InvalidInput):
    """There is nothing to show."""

    code = "no_demo_images"


def choose_images(images: Path | None, *, shared: Path = SHARED_IMAGES) -> Iterator[SourceFile]:
    """The named folder's or archive's images, or a default; see `describe_images`."""
    if images is not None:
        return files_in(images)
    if (shared / "manifest.csv").is_file():
        return iter(_sampled(shared))
    return iter(_packaged())


def expect_images(images: Path | None, *, shared: Path = SHARED_IMAGES) -> int | None:
    """How many images `choose_images` gives, None when only reading the whole archive would tell.

    Raises:
        NoDemoImages: there is none. NoSource, ArchiveRefused: what was named cannot be read.
    """
    if next(choose_images(images, shared=shared), None) is None:
        raise NoDemoImages(
            f"there is no image in {images}; name another place: make demo IMAGES=folder_or_archive"
        )
    if images is not None:
        return count_images([images])
    return sum(1 for _ in choose_images(None, shared=shared))


def describe_images(images: Path | None, *, shared: Path = SHARED_IMAGES) -> str:
    """Where the images that `choose_images` gives come from."""
    if images is not None:
        return str(images)
    if (shared / "manifest.csv").is_file():
        place = min(os.path.relpath(shared), str(shared), key=len)
        return (
            f"{place}: at most {IMAGES_PER_GENERATOR} of each generator, none of which a model was trained on"
        )
    packages = " and ".join(package for package, module, _, _ in PACKAGED_PICTURES if find_spec(module))
    return f"pictures inside the installed PyPI packages {packages}"


def _sampled(shared: Path) -> list[SourceFile]:
    """Evenly spread over each generator's held-out images, in the manifest's order."""
    held_out: dict[str, list[str]] = defaultdict(list)
    with (shared / "manifest.csv").open(newline="") as manifest:
        for row in csv.DictReader(manifest):
            if row["split"] in SAMPLED_SPLITS:
                held_out[row["generator"]].append(row["file"])
    chosen = [name for _, names in sorted(held_out.items()) for name in _spread(sorted(names))]
    return [UploadFile.from_path(shared / name, custom_id=name) for name in chosen]


def _spread(names: list[str]) -> list[str]:
    count = min(IMAGES_PER_GENERATOR, len(names))
    return [names[place * len(names) // count] for place in range(count)]


def _packaged() -> list[SourceFile]:
    found: list[SourceFile] = []
    for package, module, folder, names in PACKAGED_PICTURES:
        for location in _places_of(module):
            paths = [location / folder / name for name in names]
            found += [
                UploadFile.from_path(path, custom_id=f"{package}/{path.name}")
                for path in paths
                if path.is_file()
            ]
    if not found:
        raise NoDemoImages("no pictures are installed; name some: make demo IMAGES=folder_or_archive")
    return found


def _places_of(module: str) -> list[Path]:
    """Where a package lies, without importing it."""
    spec = find_spec(module)
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
