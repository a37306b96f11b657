"""The routes of one image itself: what is known of it, its bytes as submitted, and what they say of themselves.

Bytes are passed on piece by piece. Whatever a client called the file, the type is told by its first bytes, and the
headers keep a browser from making a page of it.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from api.auth import ResultReader
from api.dependencies import GivenServices, Services
from api.documents import problems
from api.examining import examine
from api.image_schemas import Answer, Appearance, ImageProvenance, ImageRecord
from leaktrace.errors import NotFound
from leaktrace.objects import ObjectMissing, image_key
from leaktrace.provenance import ProvenanceReader
from leaktrace.records.database import transaction
from leaktrace.records.images import find_image, list_appearances
from leaktrace.records.models import Image
from leaktrace.records.results import list_attributions
from leaktrace.science.containers import sniff_format

APPEARANCES_SHOWN = 20
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
SANDBOX = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=3600",
}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}, "example": "<the bytes of the file>"}
            for kind in (*MEDIA_TYPES.values(), "application/octet-stream")
        }
    },
    304: {"description": "The bytes are those that If-None-Match names."},
}
ImageId = Annotated[UUID, Path(description="The image's `id`, as results give it.")]

router = APIRouter(prefix="/v1/images", tags=["images"])


class ContentGone(NotFound):
    """The image's bytes are not in the store any more."""

    code = "content_gone"

    def __init__(self, image_id: UUID) -> None:
        super().__init__(f"the bytes of image {image_id} are not kept any more")


@router.get("/{image_id}", response_model=ImageRecord, responses=problems(404, 422))
def image(image_id: ImageId, services: GivenServices, caller: ResultReader) -> ImageRecord:
    """What is known of one image: its facts, where it was submitted, and every answer that it got."""
    with transaction(services.engine) as session:
        found = find_image(session, caller.tenant_id, image_id=image_id)
        shown = list_appearances(session, caller.tenant_id, image_id=image_id, limit=APPEARANCES_SHOWN)
        answers = list_attributions(session, caller.tenant_id, image_id=image_id)
        facts = {name: getattr(found, name) for name in ImageRecord.model_fields if hasattr(found, name)}
        return ImageRecord(
            **facts,
            appearances=[Appearance.model_validate(one) for one in shown],
            answers=[Answer.model_validate(one) for one in answers],
        )


@router.get("/{image_id}/content", response_class=Response, responses=BYTES | problems(404, 422))
def content(image_id: ImageId, request: Request, services: GivenServices, caller: ResultReader) -> Response:
    """The image's bytes as they were submitted."""
    with transaction(services.engine) as session:
        found = find_image(session, caller.tenant_id, image_id=image_id)
    tag = {"ETag": f'"{found.sha256}"'}
    if tag["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=SANDBOX | tag)
    size_bytes, first, rest = _open(services, found)
    kind = sniff_format(first) or ""
    name = f"{found.sha256[:16]}.{kind.lower() or 'bin'}"
    about = {"Content-Length": str(size_bytes), "Content-Disposition": f'inline; filename="{name}"'}
    return StreamingResponse(
        chain([first], rest),
        media_type=MEDIA_TYPES.get(kind, "application/octet-stream"),
        headers=SANDBOX | tag | about,
    )


@router.get("/{image_id}/provenance", response_model=ImageProvenance, responses=problems(404, 422))
def provenance(image_id: ImageId, services: GivenServices, caller: ResultReader) -> ImageProvenance:
    """What the file says of its own origin: EXIF, text chunks, C2PA. No verdict ever uses it."""
    with transaction(services.engine) as session:
        found = find_image(session, caller.tenant_id, image_id=image_id)
    try:
        with ProvenanceReader() as reader:
            told = examine(found, services.store, reader)
    except ObjectMissing as error:
        raise ContentGone(found.id) from error
    return ImageProvenance(image_id=found.id, sha256=found.sha256, **dict(told))


def _open(services: Services, found: Image) -> tuple[int, bytes, Iterator[bytes]]:
    """Length, first piece and the others; the first is read before the answer begins, so that faults are problems."""
    try:
        opened = services.store.open(image_key(found.tenant_id, found.sha256))
        return opened.size_bytes, next(opened.pieces, b""), opened.pieces
    except ObjectMissing as error:
        raise ContentGone(found.id) from error
