"""The routes of images: upload by streamed multipart, and one image's attribution.

The upload reads the request as it arrives; whatever blocks (store, database) runs in threads beside it.
"""

from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from api.auth import BatchWriter, ResultReader
from api.dependencies import BatchId, GivenServices, Services
from api.documents import jpeg, problems, with_headers
from api.errors import MalformedMultipart, QuotaUsedUp
from api.limits import quota_headers
from api.receiving import Intake
from api.result_schemas import Attribution, NearestImages, build_attribution, build_neighbour
from api.schemas import MAX_CUSTOM_ID_CHARACTERS, UploadAnswers
from leaktrace.errors import NotFound
from leaktrace.logs import get_logger
from leaktrace.objects import ObjectMissing, thumbnail_key
from leaktrace.records.batches import find_uploading_batch
from leaktrace.records.database import transaction
from leaktrace.records.images import find_image
from leaktrace.records.keys import Caller
from leaktrace.records.nearest import find_nearest
from leaktrace.records.results import find_attribution
from leaktrace.records.usage import Quota, find_quota

UPLOAD_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "example": {"files": ["<the bytes of cat.jpg>"]},
            "schema": {
                "type": "object",
                "required": ["files"],
                "additionalProperties": False,
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1000,
                        "items": {"type": "string", "format": "binary"},
                        "description": "One part a file. Its custom_id is its header X-Custom-Id or else its file name"
                        f" (at most {MAX_CUSTOM_ID_CHARACTERS} characters). A header X-Sha256 is checked.",
                    }
                },
            },
        }
    },
}

# A picture of given content never changes, but only whoever may see it may keep it.
THUMBNAIL_HEADERS = {
    "Cache-Control": "private, max-age=86400, immutable",
    "Vary": "Authorization, Cookie",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(prefix="/v1")
log = get_logger(__name__)


class ThumbnailNotFound(NotFound):
    """The image is there, but no picture of it was drawn."""

    code = "thumbnail_not_found"


@router.post(
    "/batches/{batch_id}/images",
    response_model=UploadAnswers,
    responses={
        **with_headers(200, "RateLimit", "RateLimit-Policy"),
        **problems(404, 409, 413, 415, 422, 429, reads="multipart"),
    },
    openapi_extra={"requestBody": UPLOAD_BODY},
    tags=["images"],
)
async def upload(
    batch_id: BatchId, request: Request, services: GivenServices, caller: BatchWriter
) -> Response:
    """Upload images into a batch. A refused file does not sink the others; sending one again is harmless."""
    await to_thread.run_sync(_require_room, services, caller, batch_id)
    intake = Intake(services, caller, batch_id=batch_id)
    answers = await intake.receive(request.stream(), content_type=request.headers.get("content-type", ""))
    if not answers:
        raise MalformedMultipart("the body holds no part; send one part `files` a file")
    log.info("images_received", files=len(answers), refused=sum(a.status == "refused" for a in answers))
    quota = await to_thread.run_sync(_quota, services, caller)
    body = UploadAnswers(data=answers).model_dump_json()
    return Response(body, headers=quota_headers(quota), media_type="application/json")


@router.get(
    "/images/{image_id}/attribution",
    response_model=Attribution,
    responses=problems(404, 422),
    tags=["results"],
)
def attribution(
    image_id: Annotated[UUID, Path(description="The image's `id`, as results give it.")],
    services: GivenServices,
    caller: ResultReader,
    model_version: Annotated[str | None, Query(max_length=200, pattern=r"^[\x21-\x7e]*$")] = None,
) -> Attribution:
    """The latest attribution of one image, or the one by a given model version."""
    with transaction(services.engine) as session:
        found = find_attribution(session, caller.tenant_id, image_id=image_id, model_version=model_version)
        return build_attribution(found)


@router.get(
    "/images/{image_id}/nearest",
    response_model=NearestImages,
    responses=problems(404, 422),
    tags=["results"],
)
def nearest(
    image_id: Annotated[UUID, Path(description="The image's `id`, as results give it.")],
    services: GivenServices,
    caller: ResultReader,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    model_version: Annotated[str | None, Query(max_length=200, pattern=r"^[\x21-\x7e]*$")] = None,
) -> NearestImages:
    """Your images that resemble this one most, by the embeddings of one model, the nearest first."""
    with transaction(services.engine) as session:
        version, found = find_nearest(
            session, caller.tenant_id, image_id=image_id, limit=limit, model_version=model_version
        )
        return NearestImages(model_version=version, data=[build_neighbour(one) for one in found])


@router.get(
    "/images/{image_id}/thumbnail",
    response_class=Response,
    responses=jpeg() | problems(404, 422),
    tags=["results"],
)
def thumbnail(
    image_id: Annotated[UUID, Path(description="The image's `id`, as results give it.")],
    services: GivenServices,
    caller: ResultReader,
) -> Response:
    """A small picture of one image, drawn when it was decoded; its longest side has at most 256 pixels."""
    with transaction(services.engine) as session:
        sha256 = find_image(session, caller.tenant_id, image_id=image_id).sha256
    try:
        body = services.store.get(thumbnail_key(caller.tenant_id, sha256))
    except ObjectMissing as error:
        raise ThumbnailNotFound(
            f"image {image_id} has no thumbnail: it has not been decoded since thumbnails are made, or could not be"
        ) from error
    return Response(body, media_type="image/jpeg", headers=THUMBNAIL_HEADERS)


def require_quota(quota: Quota) -> None:
    """Raise `QuotaUsedUp` when nothing more is taken today."""
    if quota.remaining == 0:
        headers = {**quota_headers(quota), "Retry-After": str(quota.resets_in_seconds)}
        raise QuotaUsedUp(
            f"the daily quota of {quota.limit:,} images is used up; it is reset at midnight UTC",
            headers=headers,
        )


def _require_room(services: Services, caller: Caller, batch_id: UUID) -> None:
    with transaction(services.engine) as session:
        find_uploading_batch(session, caller.tenant_id, batch_id=batch_id)
    require_quota(_quota(services, caller))


def _quota(services: Services, caller: Caller) -> Quota:
    with transaction(services.engine) as session:
        return find_quota(session, caller.tenant_id, default_limit=services.settings.daily_image_quota)
