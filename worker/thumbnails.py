"""Thumbnails: small JPEG pictures of images, for people to look at.

They are drawn from pixels that are decoded anyway and lie beside the image in the store, and nothing that attributes
ever reads one. Knows nothing of shards or databases.
"""

from io import BytesIO
from typing import TYPE_CHECKING
from uuid import UUID

from PIL import Image as Picture

from leaktrace.objects import ObjectStore, thumbnail_key

if TYPE_CHECKING:
    from leaktrace.science.images import DecodedImage

LONGEST_SIDE_PX = 256
JPEG_QUALITY = 78


def draw_thumbnail(image: "DecodedImage") -> bytes:
    """A JPEG of the whole image whose longest side has at most 256 pixels; a smaller image keeps its size."""
    picture = Picture.fromarray(image.pixels)
    picture.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    file = BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def store_thumbnail(store: ObjectStore, thumbnail: bytes, *, tenant_id: UUID, sha256: str) -> None:
    """Put it beside the image. Raises ObjectStoreUnavailable."""
    store.put(thumbnail_key(tenant_id, sha256), thumbnail, content_type="image/jpeg")
