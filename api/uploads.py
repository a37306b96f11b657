"""The route of uploads that go straight to the store: promises in, presigned forms out.

Each form allows one POST of at most the promised size under one key. A worker checks the hash before it believes it.
Asking again for the same files gives fresh forms and changes nothing; with `resume`, only for those that were not
posted yet.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.auth import BatchWriter
from api.dependencies import BatchId, Services
from api.documents import problems, with_headers
from api.idempotency import Answer, GivenCall
from api.images import require_quota
from api.limits import quota_headers
from api.schemas import PromiseAnswer, PromiseAnswers, PromisedFile, Promises, Refusal
from leaktrace.objects import ObjectMissing, image_key, staged_key
from leaktrace.records.database import transaction
from leaktrace.records.items import Offer, Outcome, find_images
from leaktrace.records.keys import Caller
from leaktrace.records.uploads import UploadLimits, record_promises
from leaktrace.records.usage import find_quota

router = APIRouter(prefix="/v1/batches", tags=["images"])


@router.post(
    "/{batch_id}/uploads",
    response_model=PromiseAnswers,
    responses={
        **with_headers(200, "RateLimit", "RateLimit-Policy"),
        **problems(404, 409, 413, 422, 429, reads="JSON"),
    },
)
def promise(body: Promises, batch_id: BatchId, call: GivenCall, caller: BatchWriter) -> Response:
    """Ask for forms to post files straight to the object store, each with a size limit."""
    services = call.services
    present = _find_present(services, caller, body.files)

    def work(session: Session) -> Answer:
        default_limit = services.settings.daily_image_quota
        outcomes = _record(session, services, caller, batch_id=batch_id, files=body.files, present=present)
        quota = find_quota(session, caller.tenant_id, default_limit=default_limit)
        if all(outcome.code == "quota_exceeded" for outcome in outcomes):
            require_quota(quota)
        answers = [
            _answer(services, caller, file, outcome, resume=body.resume)
            for file, outcome in zip(body.files, outcomes, strict=True)
        ]
        expires_at = datetime.now(UTC) + timedelta(minutes=services.settings.presigned_upload_minutes)
        return Answer(200, PromiseAnswers(data=answers, expires_at=expires_at), quota_headers(quota))

    return call.answer_once(caller, body, work=work)


def _find_present(services: Services, caller: Caller, files: Sequence[PromisedFile]) -> dict[str, UUID]:
    """Images that this tenant has, and whose bytes the store really holds."""
    with transaction(services.engine) as session:
        known = find_images(session, caller.tenant_id, sha256s=[file.sha256 for file in files])
    return {sha256: image_id for sha256, image_id in known.items() if _is_stored(services, caller, sha256)}


def _is_stored(services: Services, caller: Caller, sha256: str) -> bool:
    return _size(services, image_key(caller.tenant_id, sha256)) is not None


def _size(services: Services, key: str) -> int | None:
    try:
        return services.store.size(key)
    except ObjectMissing:
        return None


def _record(
    session: Session,
    services: Services,
    caller: Caller,
    *,
    batch_id: UUID,
    files: Sequence[PromisedFile],
    present: dict[str, UUID],
) -> list[Outcome]:
    settings = services.settings
    fitting = [file for file in files if file.size_bytes <= settings.max_image_bytes]
    outcomes = iter(
        record_promises(
            session,
            caller.tenant_id,
            batch_id=batch_id,
            offers=[Offer(f.custom_id, f.file_name, f.sha256, f.size_bytes) for f in fitting],
            limits=UploadLimits(settings.max_images_per_batch, settings.daily_image_quota),
            present=present,
        )
    )
    too_large = Outcome(
        "refused", code="too_many_bytes", detail=f"a file may have {settings.max_image_bytes:,} bytes"
    )
    return [next(outcomes) if file.size_bytes <= settings.max_image_bytes else too_large for file in files]


def _answer(
    services: Services, caller: Caller, file: PromisedFile, outcome: Outcome, *, resume: bool
) -> PromiseAnswer:
    """A form for an item that waits for its bytes, however often it is asked for."""
    answer = PromiseAnswer(
        custom_id=file.custom_id,
        item_id=outcome.item_id,
        status="refused" if outcome.status == "refused" else "duplicate",
        url=None,
        fields=None,
        error=Refusal(code=outcome.code, detail=outcome.detail or "") if outcome.code else None,
    )
    if outcome.staged and outcome.item_id is not None:
        key = staged_key(caller.tenant_id, outcome.item_id)
        if resume and outcome.status == "duplicate" and _size(services, key) == file.size_bytes:
            return answer.model_copy(update={"status": "present"})
        form = services.store.presign_post(
            key,
            max_bytes=file.size_bytes,
            expires_seconds=services.settings.presigned_upload_minutes * 60,
        )
        return answer.model_copy(update={"status": "upload", "url": form.url, "fields": dict(form.fields)})
    if outcome.status == "accepted":
        return answer.model_copy(update={"status": "present"})
    return answer
