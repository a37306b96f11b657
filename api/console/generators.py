"""The page of generators: what is known, what people enrolled, and groups among images that wait for a name.

Reading and changing go through the routes of the API; a worker decides what is asked for here, and the page says what
became of it, with its gates in words.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api import candidates, enrolments, generators, maps
from api.console import map_view
from api.console.forms import read_form
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import GivenServices
from api.enrolment_schemas import Enrolment, EnrolmentCreate, GeneratorName, Merge, Reasoned, Split
from api.idempotency import GivenCall
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.quarantine import count_held

HERE = "/console/generators"
EXAMPLES_SHOWN = 300
DECISIONS_SHOWN = 12
SAID = {
    "name": "Asked for. A worker measures the gates and decides within seconds.",
    "merge": "The merge is asked for; a worker decides within seconds.",
    "split": "The split is asked for; both parts stand or fall together.",
    "map": "A worker draws the map anew; it takes seconds.",
    "undo": "It is being taken back; its images return to the quarantine.",
}

router = APIRouter(prefix="/generators")
Reader = Annotated[Visitor, opens("generators:read")]
Namer = Annotated[Visitor, sends("generators:write")]
Reason = Annotated[str, Form(max_length=2000)]


@router.get("")
def page(
    request: Request,
    services: GivenServices,
    visitor: Reader,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Everything that can be named, and what may become so."""
    caller = visitor.caller
    known = generators.generators(services, caller)
    found = candidates.candidates(services, caller)
    asked = enrolments.enrolments(services, caller).data
    drawn = maps.read(services, caller)
    with transaction(services.engine) as session:
        held = count_held(session, caller.tenant_id)
    return render(
        request,
        "generators.html",
        model=known.model,
        generators=known.data,
        enrolled=[one.name for one in known.data if one.kind == "enrolled"],
        candidates=found.data,
        last_run=found.last_run,
        held=held,
        map=drawn,
        map_groups=map_view.groups_of(drawn.places),
        is_deciding=any(is_open(one) for one in asked),
        decisions=[one for one in asked if is_open(one) or one.decided_at][:DECISIONS_SHOWN],
        waiting={one.candidate_id for one in asked if one.state == "pending"},
        failed=failed_gates,
        can_name="generators:write" in caller.scopes,
        can_label="labels:write" in caller.scopes,
        said=SAID.get(said, ""),
    )


@router.post("/candidates/{candidate_id}/name")
def name(
    call: GivenCall,
    candidate_id: UUID,
    visitor: Namer,
    name: Annotated[str, Form(max_length=200)] = "",
    reason: Reason = "",
) -> Response:
    """Ask that a candidate becomes a generator."""
    asked = {
        "of": "candidate",
        "candidate_id": str(candidate_id),
        "name": name.strip(),
        "reason": reason.strip(),
    }
    enrolments.enrol(read_form(EnrolmentCreate, **asked), call, visitor.caller)
    return _back("name")


@router.post("/map")
def draw(services: GivenServices, visitor: Namer) -> Response:
    """Have the map drawn anew."""
    maps.ask(services, visitor.caller)
    return _back("map")


@router.post("/{name}/merge")
def merge(
    call: GivenCall,
    name: GeneratorName,
    visitor: Namer,
    into: Annotated[str, Form(max_length=200)] = "",
    reason: Reason = "",
) -> Response:
    """Ask that one enrolled generator becomes part of another."""
    asked = read_form(Merge, into=into, reason=reason.strip())
    enrolments.merge(name, asked, call, visitor.caller)
    return _back("merge")


@router.post("/{name}/undo")
def undo(call: GivenCall, name: GeneratorName, visitor: Namer, reason: Reason = "") -> Response:
    """Ask that an enrolled generator is taken back."""
    enrolments.undo(name, read_form(Reasoned, reason=reason.strip()), call, visitor.caller)
    return _back("undo")


@router.get("/{name}/split")
def choose_split(request: Request, name: GeneratorName, services: GivenServices, visitor: Reader) -> Response:
    """The images of an enrolled generator, of which some become another one."""
    found = enrolments.images(name, services, visitor.caller, limit=EXAMPLES_SHOWN)
    return render(
        request,
        "generator_split.html",
        name=name,
        count=found.count,
        image_ids=found.data,
        can_name="generators:write" in visitor.caller.scopes,
    )


@router.post("/{name}/split")
def split(
    call: GivenCall,
    name: GeneratorName,
    visitor: Namer,
    new_name: Annotated[str, Form(max_length=200)] = "",
    reason: Reason = "",
    image_ids: Annotated[list[UUID] | None, Form()] = None,
) -> Response:
    """Ask that the chosen images become another generator."""
    asked = read_form(Split, new_name=new_name.strip(), reason=reason.strip(), image_ids=image_ids or [])
    enrolments.split(name, asked, call, visitor.caller)
    return _back("split")


def is_open(one: Enrolment) -> bool:
    """Whether a worker has still to decide it."""
    return one.state in ("pending", "withdrawing")


def failed_gates(one: Enrolment) -> list[str]:
    """Why it was refused, a sentence a gate."""
    return [gate.detail for gate in one.gates if not gate.passed]


def _back(said: str) -> Response:
    return RedirectResponse(f"{HERE}?said={said}", 303)
