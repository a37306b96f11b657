"""The review page: one image at a time, a key for every answer. One label for many images has a page of its own.

Every form answers with the whole page, of which scripts take the parts that changed. The image that is shown was
claimed for this person; answers go through the routes of the API.
"""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from api import review as routes
from api.console import answers
from api.console.answers import as_decision, name_of
from api.console.images import is_shown_by_browsers
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import GivenServices, Services
from api.generators import generators
from api.idempotency import GivenCall
from api.images import nearest
from api.result_schemas import Neighbour
from api.review_schemas import Claim, ClaimCreate, Release, TakenBack
from api.schemas import VerdictName
from leaktrace.errors import Conflict, NotFound
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.keys import Caller
from leaktrace.records.results import AttributionNotFound
from leaktrace.records.review_claims import last_step

KEYS = "1234567890"
NEIGHBOURS_SHOWN = 6
CLASSES_SHOWN = 4

router = APIRouter(prefix="/review")
Reader = Annotated[Visitor, opens("labels:write")]
Reviewer = Annotated[Visitor, sends("labels:write")]


class Filter(answers.Form):
    """Of which images the next one is taken."""

    verdict: VerdictName | None = None
    batch_id: UUID | None = None


class Answered(Filter, answers.Decided):
    """A decision, and where to go on."""


class UndoForm(Filter):
    """The step that is taken back."""

    kind: Literal["decision", "skip"]
    step_id: UUID


@dataclass(frozen=True)
class Desk:
    """Whose page it is, and which images they go through."""

    request: Request
    services: Services
    caller: Caller
    wanted: Filter

    def show(self, claim: Claim | None, *, said: str = "", is_bad: bool = False, why: str = "") -> Response:
        """The page with an image; without one it says that nothing waits."""
        names = [each.name for each in generators(self.services, self.caller).data]
        return render(
            self.request,
            "review.html",
            claim=claim,
            waiting=routes.waiting(self.services, self.caller, self.wanted.batch_id),
            wanted=self.wanted,
            names=names,
            keys=dict(zip(names, KEYS, strict=False)),
            classes=_classes(claim),
            is_shown=claim is not None and is_shown_by_browsers(claim.result.image),
            neighbours=_neighbours(self.services, self.caller, claim),
            step=self._last_step(),
            said=said,
            is_bad=is_bad,
            why=why,
            has_begun=self.request.method == "POST",
        )

    def show_next(self, *, said: str = "", is_bad: bool = False, why: str = "") -> Response:
        """The page with the next image of the queue."""
        wanted = ClaimCreate(verdict=self.wanted.verdict, batch_id=self.wanted.batch_id)
        found = routes.claim(wanted, self.services, self.caller).data
        return self.show(found[0] if found else None, said=said, is_bad=is_bad, why=why)

    def _last_step(self) -> tuple[str, UUID] | None:
        with transaction(self.services.engine) as session:
            return last_step(session, routes.reviewer_of(self.services, self.caller))


@router.get("")
def page(
    request: Request, services: GivenServices, visitor: Reader, wanted: Annotated[Filter, Query()]
) -> Response:
    """The page before its first image: reading it takes nothing from anybody."""
    return Desk(request, services, visitor.caller, wanted).show(None)


@router.post("/next")
def take(
    request: Request, services: GivenServices, visitor: Reviewer, wanted: Annotated[Filter, Form()]
) -> Response:
    """Take an image."""
    return Desk(request, services, visitor.caller, wanted).show_next()


@router.post("/{claim_id}/decide")
def decide(
    call: GivenCall, claim_id: routes.ClaimId, visitor: Reviewer, form: Annotated[Answered, Form()]
) -> Response:
    """Answer, and take the next image."""
    desk = Desk(call.request, call.services, visitor.caller, form)
    try:
        routes.decide(claim_id, as_decision(form), call, visitor.caller)
    except Conflict as error:
        return desk.show_next(said=f"Nothing was saved: {error}.", is_bad=True, why=form.reason)
    return desk.show_next(said=f"Saved: {name_of(form.said)}.", why=form.reason)


@router.post("/{claim_id}/skip")
def skip(
    request: Request,
    claim_id: routes.ClaimId,
    services: GivenServices,
    visitor: Reviewer,
    form: Annotated[Filter, Form()],
) -> Response:
    """Leave the image to others, and take the next one."""
    routes.release(claim_id, Release(skip=True), services, visitor.caller)
    return Desk(request, services, visitor.caller, form).show_next(said="Skipped; others are asked first.")


@router.post("/undo")
def undo(
    request: Request, services: GivenServices, visitor: Reviewer, form: Annotated[UndoForm, Form()]
) -> Response:
    """Take the last step back, and show its image again."""
    desk = Desk(request, services, visitor.caller, form)
    try:
        if form.kind == "skip":
            claim = routes.renew(form.step_id, services, visitor.caller)
        else:
            why = TakenBack(reason="taken back in the review queue")
            claim = routes.undo(form.step_id, why, services, visitor.caller)
    except (Conflict, NotFound) as error:
        return desk.show_next(said=f"That could not be undone: {error}.", is_bad=True)
    return desk.show(claim, said="Undone. Here is the image again.")


def _classes(claim: Claim | None) -> list[tuple[str, float, float]]:
    """The likeliest classes: name, probability, p-value."""
    if claim is None or claim.result.attribution is None:
        return []
    seen = claim.result.attribution
    likeliest = sorted(seen.probabilities, key=lambda name: -seen.probabilities[name])[:CLASSES_SHOWN]
    return [(name, seen.probabilities[name], seen.p_values.get(name, 0.0)) for name in likeliest]


def _neighbours(services: Services, caller: Caller, claim: Claim | None) -> list[Neighbour]:
    if claim is None or claim.result.image is None:
        return []
    try:
        return nearest(claim.result.image.id, services, caller, limit=NEIGHBOURS_SHOWN).data
    except AttributionNotFound:  # its embedding is not kept any more
        return []
