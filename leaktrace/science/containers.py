"""What an image file says about itself before anything is decoded: format, size, completeness.

Everything is read by hand from the container's own structure, never from a file name or a content type, because
some decoders allocate the whole canvas as soon as they open a file, and some accept a file whose end is missing.
This module knows nothing of pixels, Pillow or refusals.
"""

import re
import struct
from collections.abc import Iterator

_STILL_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 0x0112
_EXIF_SHORT = 3
_BOX_HEADER_BYTES = 8
_LONG_BOX_HEADER_BYTES = 16


def sniff_format(data: bytes) -> str | None:
    """Name the format by its magic bytes, or None when it is not one that Leaktrace reads."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(_PNG_MAGIC):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(_TIFF_MAGIC):
        return "TIFF"
    return _sniff_brands(data)


def _sniff_brands(data: bytes) -> str | None:
    """AVIF and HEIF share one container; the brands in its first box tell them apart."""
    if data[4:8] != b"ftyp" or len(data) < 12:
        return None
    end = min(struct.unpack(">I", data[:4])[0], len(data), 256)
    brands = {data[8:12]} | {data[at : at + 4] for at in range(16, end - 3, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _STILL_HEIF_BRANDS else None


def is_cut_short(data: bytes, image_format: str) -> bool:
    """Whether the file's own structure reaches past its last byte.

    JPEG and GIF have no outer length to compare with: only a missing end marker shows. Of a TIFF the directory is
    checked, which most writers put last.
    """
    if image_format == "PNG":
        return _png_is_cut_short(data)
    if image_format == "WEBP":
        return len(data) < 8 or int.from_bytes(data[4:8], "little") + 8 > len(data)
    if image_format in ("AVIF", "HEIF"):
        return _boxes_are_cut_short(data)
    if image_format == "JPEG":
        return data.rfind(b"\xff\xd9") < 0
    if image_format == "TIFF":
        return _tiff_is_cut_short(data)
    if image_format == "GIF":
        return len(data) <= _gif_colours_end(data) or not data.rstrip(b"\x00").endswith(b";")
    return False


def _png_is_cut_short(data: bytes) -> bool:
    at = len(_PNG_MAGIC)
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            return at > len(data)
    return True


def _boxes_are_cut_short(data: bytes) -> bool:
    boxes = list(_boxes(data))
    last = boxes[-1][2] if boxes else 0
    if last != len(data):  # past the data: cut inside a box; before its end: inside a box's header
        return True
    # Cut between two boxes: the coded picture stands in a box of its own, behind all others, or else in `meta`.
    return not any(kind == b"mdat" or b"idat" in data[start:end] for kind, start, end in boxes)


def _tiff_is_cut_short(data: bytes) -> bool:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    offset_field, count_field, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    try:
        start = struct.unpack_from(order + offset_field, data, 8 if big else 4)[0]
        entries = struct.unpack_from(order + count_field, data, start)[0]
    except (struct.error, OverflowError):
        return True
    return bool(start + struct.calcsize(order + count_field) + entries * entry_bytes > len(data))


def exif_orientation(exif: bytes) -> int:
    """Orientation, 1 to 8, from an EXIF block; 1 when it says nothing that can be read."""
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        start = struct.unpack_from(order + "I", tiff, 4)[0]
        for index in range(struct.unpack_from(order + "H", tiff, start)[0]):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * index)
            if (tag, kind) == (_ORIENTATION_TAG, _EXIF_SHORT):
                return value if 1 <= value <= 8 else 1
    except (struct.error, OverflowError):
        return 1
    return 1


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Top-level boxes of an ISO media file: (type, start, end); the end may lie past the data."""
    at = 0
    while at + _BOX_HEADER_BYTES <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        smallest = _BOX_HEADER_BYTES
        if size == 1 and at + _LONG_BOX_HEADER_BYTES <= len(data):
            size = struct.unpack_from(">Q", data, at + 8)[0]
            smallest = _LONG_BOX_HEADER_BYTES
        elif size == 0:
            size = len(data) - at
        if size < smallest:
            return
        yield kind, at, at + size
        at += size


def declared_size(data: bytes, image_format: str) -> tuple[int, int] | None:
    """(width, height) of the canvas, for the formats whose decoder may allocate before it is asked for pixels.

    None when the header is not where it should be, or when opening the file is known to allocate nothing.
    """
    if image_format == "WEBP":
        return _webp_size(data)
    if image_format in ("AVIF", "HEIF"):
        return _largest_item_size(data)
    if image_format == "GIF" and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return width, height
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    return None


def _largest_item_size(data: bytes) -> tuple[int, int] | None:
    """The largest `ispe` (image spatial extents) property: tiles and thumbnails have smaller ones of their own."""
    sizes: list[tuple[int, int]] = []
    for kind, start, end in _boxes(data):
        if kind == b"meta":
            found = re.finditer(rb"ispe\x00{4}(.{8})", data[start:end], flags=re.DOTALL)
            sizes += [struct.unpack(">II", match.group(1)) for match in found]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def holds_a_track(data: bytes) -> bool:
    """Whether an ISO media file carries a movie box: an image sequence rather than a still image."""
    return any(kind == b"moov" for kind, _, _ in _boxes(data))


def _gif_colours_end(data: bytes) -> int:
    """Where the global colour table ends; a byte of it may look like the end marker."""
    if len(data) < 13:
        return len(data)
    entries = 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0
    return 13 + 3 * entries
