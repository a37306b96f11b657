"""The routes of case reports: one self-contained HTML file about an image or a batch, under a hash chain.

A batch's report is written while it is read, a few images at a time, so that its size does not matter to memory. Its
final hash goes into the audit trail, where a file can be compared with it later.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy.orm import Session

from api.auth import ResultReader
from api.dependencies import BatchId, GivenServices, Services
from api.documents import problems
from api.examining import examine
from api.image_schemas import Appearance
from api.pictures import APPEARANCES_SHOWN, ImageId
from api.result_schemas import ImageFacts, Label, build_attribution
from api.streaming import read_pages
from leaktrace import __version__
from leaktrace.casefile import ReportWriter, Subject
from leaktrace.objects import ObjectMissing, thumbnail_key
from leaktrace.provenance import ProvenanceReader
from leaktrace.records.audit import record_audit
from leaktrace.records.batches import find_batch
from leaktrace.records.database import transaction
from leaktrace.records.images import find_image, list_appearances
from leaktrace.records.keys import Caller, name_of_tenant
from leaktrace.records.labels import labels_of
from leaktrace.records.models import Attribution, Image, Item
from leaktrace.records.registry import limits_of_models
from leaktrace.records.results import ResultFilter, list_attributions, list_results, models_of_batch

READ_TOGETHER = 50
HTML: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/html": {"schema": {"type": "string"}, "example": "<!doctype html><html>...</html>"},
        }
    }
}
Shown = Annotated[bool, Query(description="With small pictures of the images.")]
Examined = Annotated[
    bool, Query(description="With what each file says of its origin; every file is read for it.")
]

router = APIRouter(prefix="/v1", tags=["results"])


@dataclass(frozen=True)
class Case:
    """One image of a report before it is written; `image` is None where its bytes never arrived."""

    image: Image | None
    attribution: Attribution | None
    appearances: list[Appearance]
    labels: list[Label]


@dataclass(frozen=True)
class Report:
    """A report that is being written: for whom, about what, and with how much."""

    services: Services
    caller: Caller
    pictures: bool
    provenance: bool
    writer: ReportWriter = field(default_factory=ReportWriter)

    def write(self, subject: Subject, cases: Iterator[Case]) -> Iterator[bytes]:
        """The whole file, piece by piece; its final hash is recorded before the last piece is given out."""
        yield self.writer.head(subject)
        with ProvenanceReader() as reader:
            for case in cases:
                yield self._image(case, reader)
        last = self.writer.end()
        with transaction(self.services.engine) as session:
            record_audit(
                session,
                "report.made",
                tenant_id=self.caller.tenant_id,
                actor=self.caller.actor,
                subject=f"{subject.kind}:{subject.id}",
                final_hash=self.writer.final_hash,
                entries=self.writer.entries,
            )
        yield last

    def _image(self, case: Case, reader: ProvenanceReader) -> bytes:
        picture, origin = None, None
        if case.image is not None:
            picture = self._picture(case.image) if self.pictures else None
            origin = self._origin(case.image, reader) if self.provenance else None
        facts = {
            "image": _json(ImageFacts, case.image),
            "appearances": [one.model_dump(mode="json") for one in case.appearances],
            "attribution": case.attribution
            and build_attribution(case.attribution).model_dump(mode="json", exclude={"timings"}),
            "labels": [label.model_dump(mode="json") for label in case.labels],
            "provenance": origin,
        }
        return self.writer.image(facts, picture=picture)

    def _picture(self, image: Image) -> bytes | None:
        try:
            return self.services.store.get(thumbnail_key(image.tenant_id, image.sha256))
        except ObjectMissing:
            return None

    def _origin(self, image: Image, reader: ProvenanceReader) -> dict[str, Any] | None:
        try:
            return examine(image, self.services.store, reader).model_dump(mode="json")
        except ObjectMissing:
            return None


@router.get("/images/{image_id}/report", response_class=HTMLResponse, responses=HTML | problems(404, 422))
def of_image(image_id: ImageId, services: GivenServices, caller: ResultReader) -> StreamingResponse:
    """A case report of one image: a file for somebody else, which `leaktrace report verify` can check."""
    tenant_id = caller.tenant_id
    with transaction(services.engine) as session:
        image = find_image(session, tenant_id, image_id=image_id)
        shown = list_appearances(session, tenant_id, image_id=image_id, limit=APPEARANCES_SHOWN)
        newest = next(iter(list_attributions(session, tenant_id, image_id=image_id)), None)
        case = Case(
            image,
            newest,
            [Appearance.model_validate(one) for one in shown],
            _labels(session, tenant_id, [image.sha256]).get(image.sha256, []),
        )
        name = next((one.file_name or one.custom_id for one in shown), str(image_id))
        models = [newest.model_version] if newest else []
        subject = _subject(session, caller, ("image", image_id), name=name, models=models)
    report = Report(services, caller, pictures=True, provenance=True)
    return _answer(report.write(subject, iter([case])), f"image-{image_id}")


@router.get("/batches/{batch_id}/report", response_class=HTMLResponse, responses=HTML | problems(404, 422))
def of_batch(
    batch_id: BatchId,
    services: GivenServices,
    caller: ResultReader,
    pictures: Shown = True,
    provenance: Examined = True,
) -> StreamingResponse:
    """A case report of a whole batch, finished or not, written while it is read."""
    with transaction(services.engine) as session:
        batch = find_batch(session, caller.tenant_id, batch_id=batch_id)
        name = batch.name or f"Batch {str(batch_id)[-12:]}"
        models = models_of_batch(session, caller.tenant_id, batch_id=batch_id)
        subject = _subject(session, caller, ("batch", batch_id), name=name, models=models)
    report = Report(services, caller, pictures=pictures, provenance=provenance)
    cases = _cases(services, caller.tenant_id, batch_id, batch_name=batch.name)
    return _answer(report.write(subject, cases), f"batch-{batch_id}")


def _cases(services: Services, tenant_id: UUID, batch_id: UUID, *, batch_name: str | None) -> Iterator[Case]:
    def read(limit: int, after: str | None) -> list[Case]:
        with transaction(services.engine) as session:
            rows = list_results(
                session, tenant_id, batch_id=batch_id, chosen=ResultFilter(), limit=limit, after=after
            )
            said = _labels(session, tenant_id, [image.sha256 for _, image, _, _ in rows if image is not None])
        return [
            Case(
                image,
                attribution,
                [_appearance(item, batch_name)],
                said.get(image.sha256, []) if image else [],
            )
            for item, image, attribution, _ in rows
        ]

    pages = read_pages(read, lambda case: case.appearances[0].custom_id, together=READ_TOGETHER)
    return chain.from_iterable(pages)


def _appearance(item: Item, batch_name: str | None) -> Appearance:
    own = {name: getattr(item, name) for name in Appearance.model_fields if hasattr(item, name)}
    return Appearance(**own, item_id=item.id, batch_name=batch_name)


def _labels(session: Session, tenant_id: UUID, sha256s: list[str]) -> dict[str, list[Label]]:
    """What people said of each of these contents, the newest first."""
    said: dict[str, list[Label]] = {}
    for label in labels_of(session, tenant_id, sha256s):
        said.setdefault(label.sha256, []).append(Label.model_validate(label))
    return said


def _subject(
    session: Session, caller: Caller, about: tuple[str, UUID], *, name: str, models: list[str]
) -> Subject:
    kind, identity = about
    return Subject(
        kind=kind,
        id=str(identity),
        name=name,
        tenant=name_of_tenant(session, caller.tenant_id),
        actor=caller.actor,
        made_at=datetime.now(UTC),
        service=__version__,
        limits=tuple(limits_of_models(session, models)),
    )


def _answer(pieces: Iterator[bytes], name: str) -> StreamingResponse:
    headers = {
        "Content-Disposition": f'attachment; filename="report-{name}.html"',
        "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(pieces, media_type="text/html; charset=utf-8", headers=headers)


def _json(model: type[ImageFacts], record: Image | None) -> dict[str, Any] | None:
    return None if record is None else model.model_validate(record).model_dump(mode="json")
