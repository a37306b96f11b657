"""Small pictures for the report, as data URIs, so that the report is one file.

Decoded by the same checked decoder as the service's, since the files are no more trustworthy here. A file that cannot
be decoded has no thumbnail.
"""

import base64
from collections.abc import Collection, Iterable
from io import BytesIO

from PIL import Image

from leaktrace.client.files import SourceFile, UploadFile
from leaktrace.errors import LeaktraceError
from leaktrace.science.images import decode

THUMBNAIL_PX = 176
WEBP_QUALITY = 60


def make_thumbnails(files: Iterable[SourceFile], wanted: Collection[str]) -> dict[str, str]:
    """Data URIs by custom id, of those files whose id is wanted and that can be decoded."""
    made: dict[str, str] = {}
    missing = set(wanted)
    for file in files:
        if file.custom_id in missing and isinstance(file, UploadFile):
            missing.remove(file.custom_id)
            uri = thumbnail(file)
            if uri is not None:
                made[file.custom_id] = uri
        if not missing:
            break  # the rest of a long archive need not be unpacked
    return made


def thumbnail(file: UploadFile) -> str | None:
    """The file as a small WebP in a data URI, its middle square; None when it cannot be read or decoded."""
    try:
        with file.open() as content:
            decoded = decode(content.read())
    except (LeaktraceError, OSError):
        return None
    picture = Image.fromarray(decoded.pixels)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    small = picture.resize(
        (THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS, (left, top, left + side, top + side)
    )
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=WEBP_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
