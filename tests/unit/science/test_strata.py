"""The stratum of an image is read off its file: quality from the quantisation tables, bands with stated edges."""

from io import BytesIO

import pytest
from PIL import Image

from leaktrace.science.images import ImageHeader, decode, read_header
from leaktrace.science.jpeg_quality import jpeg_quality
from leaktrace.science.strata import stratum_of
from leaktrace.science.stratified import UNKNOWN


def saved(image_format: str, size: tuple[int, int] = (200, 160), **options: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, "teal").save(file, format=image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", range(25, 99))
def test_quality_is_read_from_tables(quality: int) -> None:
    assert read_header(saved("JPEG", quality=quality)).jpeg_quality == quality


@pytest.mark.parametrize(("quality", "furthest"), [(1, 11), (10, 15), (99, 99), (100, 99)])
def test_extreme_quality_stays_in_band(quality: int, furthest: int) -> None:
    found = read_header(saved("JPEG", quality=quality)).jpeg_quality
    assert found is not None
    assert min(quality, furthest) <= found <= max(quality, furthest)


@pytest.mark.parametrize(("table", "quality"), [([0] * 64, 100), ([65_535] * 64, 1)])
def test_odd_tables_give_the_ends(table: list[int], quality: int) -> None:
    assert jpeg_quality({0: table}) == quality


def test_no_table_has_no_quality() -> None:
    assert jpeg_quality({}) is None


def test_header_is_that_of_the_decoded_image() -> None:
    data = saved("JPEG", quality=83)
    assert decode(data).header == read_header(data)


@pytest.mark.parametrize(
    ("header", "stratum"),
    [
        (ImageHeader("JPEG", 511, 4000, jpeg_quality=69), "jpeg-under-70/under-512px"),
        (ImageHeader("JPEG", 512, 512, jpeg_quality=70), "jpeg-70-89/512-1023px"),
        (ImageHeader("JPEG", 1024, 1023, jpeg_quality=89), "jpeg-70-89/512-1023px"),
        (ImageHeader("JPEG", 4000, 3000, jpeg_quality=90), "jpeg-from-90/from-1024px"),
        (ImageHeader("WEBP", 1024, 1024), "not-jpeg/from-1024px"),
        (ImageHeader("JPEG", 512, 512), UNKNOWN),
    ],
)
def test_bands_have_their_edges(header: ImageHeader, stratum: str) -> None:
    assert stratum_of(header) == stratum
