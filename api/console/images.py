"""The page of one image: the picture, the verdict and what decided it, its neighbours, and what people say of it.

The id is the one that results of batches and `/v1/images/{id}` use. Labels are sent through the API's own route.
"""

from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from api import generators, images, labels, pictures
from api.console import evidence
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import GivenServices, Services
from api.idempotency import GivenCall
from api.image_schemas import ImageRecord
from api.label_schemas import LabelCreate
from api.pictures import ImageId
from api.result_schemas import Attribution, ImageFacts, Label, Neighbour
from leaktrace.errors import InvalidInput
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.keys import Caller
from leaktrace.records.labels import LabelKind
from leaktrace.records.results import AttributionNotFound

NEIGHBOURS_SHOWN = 6
SHOWN_BY_BROWSERS = frozenset({"JPEG", "PNG", "WEBP", "AVIF", "GIF"})
SAID = {
    "confirm": "Confirmed. It is kept with your name beside the model's verdict.",
    "correct": "Corrected. It is kept with your name beside the model's verdict.",
    "appeal": "The appeal is open until somebody confirms or corrects the verdict.",
}

router = APIRouter(prefix="/images")
Reader = Annotated[Visitor, opens("results:read")]
Labeller = Annotated[Visitor, sends("labels:write")]


@router.get("/{image_id}")
def page(
    request: Request,
    image_id: ImageId,
    services: GivenServices,
    visitor: Reader,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Everything that is known of one image; what does not exist yet is said to be missing."""
    caller = visitor.caller
    image = pictures.image(image_id, services, caller)
    history = labels.history(image_id, services, caller).data
    withdrawn = {each.withdraws for each in history}
    standing = [each for each in history if each.kind != "withdraw" and each.id not in withdrawn]
    found = _attribution(services, caller, image_id)
    return render(
        request,
        "image.html",
        image=image,
        title=_title(image),
        found=found,
        evidence=evidence.describe(found) if found else None,
        headline=evidence.headline,
        neighbours=_neighbours(services, caller, image_id) if found else [],
        history=history,
        withdrawn=withdrawn,
        judgement=_newest(standing, "confirm", "correct"),
        open_appeal=standing[0] if standing and standing[0].kind == "appeal" else None,
        can_label="labels:write" in caller.scopes,
        can_confirm=found is not None and found.verdict != "inconclusive",
        names=_names(services, caller),
        is_shown=is_shown_by_browsers(image),
        said=SAID.get(said, ""),
    )


@router.get("/{image_id}/provenance")
def provenance(request: Request, image_id: ImageId, services: GivenServices, visitor: Reader) -> Response:
    """The part of the page that says what the file tells of its origin; it takes a moment and is fetched by itself."""
    try:
        found = pictures.provenance(image_id, services, visitor.caller)
    except pictures.ContentGone:
        found = None
    return render(request, "image_provenance.html", found=found)


@router.post("/{image_id}/labels")
def label(
    call: GivenCall,
    image_id: ImageId,
    visitor: Labeller,
    kind: Annotated[LabelKind, Form()],
    reason: Annotated[str, Form(max_length=2000)] = "",
    generator: Annotated[str, Form(max_length=200)] = "",
    unknown: Annotated[bool, Form()] = False,
) -> Response:
    """Confirm, correct or appeal, and back to the page."""
    said: dict[str, str | None] = {"kind": kind, "reason": reason.strip()}
    if kind == "correct":
        if not generator.strip() and not unknown:
            raise InvalidInput("a correction names the generator, or says that no known generator made it")
        said["generator"] = None if unknown else generator.strip()
    labels.add(image_id, _checked(said), call, visitor.caller)
    return RedirectResponse(f"/console/images/{image_id}?said={kind}#labels", 303)


def _checked(said: dict[str, str | None]) -> LabelCreate:
    try:
        return LabelCreate.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{first['loc'][-1]}: {first['msg']}") from error


def _title(image: ImageRecord) -> str:
    """What people call it: the file's name, else the client's id of its newest appearance, else the end of its own."""
    for one in image.appearances:
        return one.file_name or one.custom_id
    return f"Image {str(image.id)[-12:]}"


def _attribution(services: Services, caller: Caller, image_id: UUID) -> Attribution | None:
    with suppress(AttributionNotFound):
        return images.attribution(image_id, services, caller)
    return None


def _neighbours(services: Services, caller: Caller, image_id: UUID) -> list[Neighbour]:
    with suppress(AttributionNotFound):  # its embedding is not kept any more
        return images.nearest(image_id, services, caller, limit=NEIGHBOURS_SHOWN).data
    return []


def _names(services: Services, caller: Caller) -> list[str]:
    return sorted(each.name for each in generators.generators(services, caller).data)


def is_shown_by_browsers(image: ImageRecord | ImageFacts | None) -> bool:
    """Whether a browser can show the file; one that has not been decoded yet may be tried."""
    return image is not None and (image.format is None or image.format in SHOWN_BY_BROWSERS)


def _newest(history: list[Label], *kinds: str) -> Label | None:
    return next((each for each in history if each.kind in kinds), None)
