"""The page of models and densities: what judges now, what came before and why, what is tried in shadow, and back.

A rollback is asked for on a page of its own that says what it would change, with a reason that stands in the record.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from api import density as densities
from api import models as routes
from api import refits
from api.auth import require_scope_of
from api.console.charts import Span, draw_spans, phases_of
from api.console.drift import read_drift
from api.console.forms import read_form
from api.console.model_cards import classes_of, facts_of, measured_of
from api.console.pages import render
from api.console.visitors import opens, sends
from api.dependencies import GivenServices
from api.enrolment_schemas import Density, Reasoned, Rollback
from api.idempotency import GivenCall
from leaktrace.records.challengers import (
    ShadowScore,
    count_shadow,
    find_density,
    find_shadow,
    list_judged_twice,
)
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.keys import SERVICE_ADMIN
from leaktrace.records.readiness import find_serving_model
from leaktrace.records.refits import list_refits
from leaktrace.records.registry import list_models
from leaktrace.records.rollback import NothingToRollBack, RollbackPreview, list_densities, preview_rollback

HERE = "/console/models"
REFITS_SHOWN = 12
IMAGES_SHOWN = 60
SAID = {
    "back": "Rolled back. The earlier density judges from the next shard on.",
    "promotion": "It is asked for; a worker decides within seconds, and its decision appears below.",
    "asked": "The refit is asked for; a worker decides within seconds, and its look appears below.",
}

router = APIRouter(prefix="/models")
Reader = Annotated[Visitor, opens("density:read")]
Scope = Literal["own", "shared"]


@dataclass(frozen=True)
class Line:
    """A density with its stretches on the time line."""

    density: Density
    spans: list[Span]


@dataclass(frozen=True)
class Challenger:
    """The density in shadow and its score so far, over all tenants."""

    density: Density
    score: ShadowScore


@router.get("")
def page(
    request: Request,
    services: GivenServices,
    visitor: Reader,
    said: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """What judges images, and how it came to that."""
    with transaction(services.engine) as session:
        model = find_serving_model(session)
        context: dict[str, Any] = _densities(session, visitor, model.version) if model is not None else {}
        known = list_models(session)
    return render(
        request,
        "models.html",
        model=model,
        models=known,
        said=SAID.get(said, ""),
        shadow_images=services.settings.shadow_images,
        shadow_hours=services.settings.shadow_hours,
        **context,
    )


@router.get("/cards/{version}")
def card(request: Request, version: routes.Version, services: GivenServices, visitor: Reader) -> Response:
    """The card of a model, with its figures."""
    model = routes.card(version, services, visitor.caller)
    return render(
        request,
        "model_card.html",
        model=model,
        facts=facts_of(model.card),
        classes=classes_of(model.card, model.classes),
        measured=measured_of(model.card),
        limits=model.card.get("limits", []),
    )


@router.get("/densities/{version}")
def one(
    request: Request,
    version: refits.Version,
    services: GivenServices,
    visitor: Reader,
    before: UUID | None = None,
) -> Response:
    """One density: every gate in words, and what it says otherwise of the tenant's images."""
    tenant_id = visitor.caller.tenant_id
    with transaction(services.engine) as session:
        row = find_density(session, version, tenant_id=tenant_id)
        images = list_judged_twice(
            session, version, tenant_id=tenant_id, changed=True, limit=IMAGES_SHOWN + 1, before=before
        )
    return render(
        request,
        "density.html",
        density=densities.build_density(row),
        report=refits.shadow(version, services, visitor.caller),
        images=images[:IMAGES_SHOWN],
        older=images[IMAGES_SHOWN - 1].attribution_id if len(images) > IMAGES_SHOWN else None,
        may_promote=SERVICE_ADMIN in visitor.caller.scopes and _can_answer(row),
    )


@router.post("/densities/{version}/promote")
def promote(
    call: GivenCall,
    version: refits.Version,
    visitor: Annotated[Visitor, sends(SERVICE_ADMIN)],
    reason: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Ask that a density for everybody answers now, and back to the page."""
    body = read_form(Reasoned, reason=reason.strip())
    refits.promote(version, body, call, visitor.caller)
    return RedirectResponse(f"{HERE}?said=promotion", 303)


@router.get("/rollback")
def ask(
    request: Request,
    services: GivenServices,
    visitor: Annotated[Visitor, opens("density:write")],
    scope: Scope,
) -> Response:
    """What a rollback would change, and a form for its reason."""
    _require(visitor, scope)
    with transaction(services.engine) as session:
        preview = _preview(session, visitor, scope)
    return render(request, "rollback.html", scope=scope, preview=preview)


@router.post("/rollback")
def roll_back(
    call: GivenCall,
    visitor: Annotated[Visitor, sends("density:write")],
    scope: Annotated[Scope, Form()],
    reason: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Go back to the density before, and back to the page."""
    body = read_form(Rollback, scope=scope, reason=reason.strip())
    densities.rollback(body, call, visitor.caller)
    return RedirectResponse(f"{HERE}?said=back", 303)


@router.post("/refit")
def refit(
    call: GivenCall,
    visitor: Annotated[Visitor, sends(SERVICE_ADMIN)],
    reason: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Ask for a refit, and back to the page."""
    refits.refit(read_form(Reasoned, reason=reason.strip()), call, visitor.caller)
    return RedirectResponse(f"{HERE}?said=asked", 303)


def _can_answer(row: DensityVersion) -> bool:
    """Whether it may be promoted by a person: everybody's in shadow, or one that answered before."""
    answered_before = row.state == "retired" and row.activated_at is not None
    return row.tenant_id is None and (row.state == "shadow" or answered_before)


def _densities(session: Session, visitor: Visitor, model_version: str) -> dict[str, Any]:
    """What the page shows of the serving model's densities."""
    tenant_id, scopes = visitor.caller.tenant_id, visitor.caller.scopes
    found = list_densities(session, model_version, tenant_id=tenant_id)
    now = datetime.now(UTC)
    since = min((row.created_at for row in found), default=now)
    shadow = find_shadow(session, model_version)
    return {
        "lines": [Line(densities.build_density(row), _spans(row, since, now)) for row in found],
        "since": since,
        "challenger": _challenger(session, shadow) if shadow is not None else None,
        "refits": list_refits(session, model_version, limit=REFITS_SHOWN),
        "reversible": [
            scope
            for scope, owner, needed in (("own", tenant_id, "density:write"), ("shared", None, SERVICE_ADMIN))
            if needed in scopes and preview_rollback(session, model_version, tenant_id=owner) is not None
        ],
        "may_refit": SERVICE_ADMIN in scopes,
        "drift": read_drift(session, model_version),
    }


def _challenger(session: Session, shadow: DensityVersion) -> Challenger:
    return Challenger(densities.build_density(shadow), count_shadow(session, shadow.version))


def _spans(row: DensityVersion, since: datetime, now: datetime) -> list[Span]:
    return draw_spans(phases_of(row, now=now), since=since, now=now)


def _preview(session: Session, visitor: Visitor, scope: Scope) -> RollbackPreview:
    model = find_serving_model(session)
    owner = visitor.caller.tenant_id if scope == "own" else None
    preview = preview_rollback(session, model.version, tenant_id=owner) if model is not None else None
    if preview is None:
        raise NothingToRollBack("there is no earlier density to go back to")
    return preview


def _require(visitor: Visitor, scope: Scope) -> None:
    if scope == "shared":
        require_scope_of(visitor.caller, SERVICE_ADMIN)
