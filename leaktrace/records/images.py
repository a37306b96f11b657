"""One image as its owner sees it: the row itself, and the items of batches that show it.

Another tenant's image does not exist here. Knows nothing of bytes, verdicts or labels.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from leaktrace.errors import NotFound
from leaktrace.records.models import Batch, Image, Item


class ImageNotFound(NotFound):
    """The tenant has no such image."""

    code = "image_not_found"

    def __init__(self, image_id: UUID) -> None:
        super().__init__(f"there is no image {image_id}")
        self.image_id = image_id


@dataclass(frozen=True)
class Appearance:
    """An item of a batch that shows the image."""

    batch_id: UUID
    batch_name: str | None
    item_id: UUID
    custom_id: str
    file_name: str | None
    state: str
    error_code: str | None
    error_detail: str | None
    created_at: datetime


def find_image(session: Session, tenant_id: UUID, *, image_id: UUID) -> Image:
    """The tenant's image.

    Raises:
        ImageNotFound: the tenant has no such image.
    """
    statement = select(Image).where(Image.tenant_id == tenant_id, Image.id == image_id)
    image = session.execute(statement).scalar_one_or_none()
    if image is None:
        raise ImageNotFound(image_id)
    return image


def list_appearances(session: Session, tenant_id: UUID, *, image_id: UUID, limit: int) -> list[Appearance]:
    """At most `limit` items that show the image, the newest first."""
    statement = (
        select(
            Item.batch_id,
            Batch.name,
            Item.id,
            Item.custom_id,
            Item.file_name,
            Item.state,
            Item.error_code,
            Item.error_detail,
            Item.created_at,
        )
        .join(Batch, Batch.id == Item.batch_id)
        .where(Item.tenant_id == tenant_id, Item.image_id == image_id)
        .order_by(Item.id.desc())
        .limit(limit)
    )
    return [Appearance(*row) for row in session.execute(statement)]
