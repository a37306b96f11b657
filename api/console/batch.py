"""The page of one batch: progress, what was found, and all its pictures.

Filters live in the address. The part above the pictures fetches itself again when something changed; the pictures are
fetched by the page's script, a page of them at a time and only where somebody looks.
"""

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api import batches as routes
from api.console.batches import actions_of
from api.console.pages import render
from api.console.visitors import opens
from api.dependencies import BatchId, GivenServices
from api.result_formats import MEDIA_TYPES
from api.schemas import VerdictName
from api.summaries import build_summary
from leaktrace.records.batches import find_batch
from leaktrace.records.console_sessions import Visitor
from leaktrace.records.database import transaction
from leaktrace.records.gallery import find_places, list_entries
from leaktrace.records.items import count_items
from leaktrace.records.results import ResultFilter

PICTURES_A_PAGE = 120
EXPORTS = tuple(name for name in MEDIA_TYPES if name != "json")

router = APIRouter(prefix="/batches")
Reader = Annotated[Visitor, opens("results:read")]


def _number(text: str) -> float | None:
    """A share as somebody types it; nothing when it is none, since an address may be edited by hand."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _filter(
    verdict: VerdictName | Annotated[str, Query(max_length=0)] = "",
    generator: Annotated[str, Query(max_length=200)] = "",
    error_code: Annotated[str, Query(max_length=64)] = "",
    p_min: Annotated[str, Query(max_length=24)] = "",
    p_max: Annotated[str, Query(max_length=24)] = "",
) -> ResultFilter:
    """Empty fields of the form leave out nothing."""
    return ResultFilter(
        verdict=verdict or None,
        generator=generator or None,
        error_code=error_code or None,
        p_min=_number(p_min),
        p_max=_number(p_max),
    )


GivenFilter = Annotated[ResultFilter, Depends(_filter)]


@router.get("/{batch_id}")
def page(
    request: Request, batch_id: BatchId, services: GivenServices, visitor: Reader, chosen: GivenFilter
) -> Response:
    """One batch."""
    with transaction(services.engine) as session:
        found = find_batch(session, visitor.caller.tenant_id, batch_id=batch_id)
        batch = routes.build_batch(found, count_items(session, [batch_id])[batch_id])
        summary = build_summary(session, found)
    return render(
        request,
        "batch.html",
        batch=batch,
        summary=summary,
        chosen=chosen,
        query=query_of(chosen),
        exports=EXPORTS,
        page=PICTURES_A_PAGE,
        possible=actions_of(batch, visitor),
    )


@router.get("/{batch_id}/places")
def places(
    batch_id: BatchId, services: GivenServices, visitor: Reader, chosen: GivenFilter
) -> dict[str, Any]:
    """How many pictures the filter leaves, and where each page of them ends."""
    with transaction(services.engine) as session:
        find_batch(session, visitor.caller.tenant_id, batch_id=batch_id)
        found = find_places(
            session, visitor.caller.tenant_id, batch_id=batch_id, chosen=chosen, page=PICTURES_A_PAGE
        )
    return asdict(found)


@router.get("/{batch_id}/pictures")
def pictures(
    batch_id: BatchId,
    services: GivenServices,
    visitor: Reader,
    chosen: GivenFilter,
    after: Annotated[str | None, Query(max_length=256)] = None,
) -> list[dict[str, Any]]:
    """One page of pictures, behind a custom_id."""
    with transaction(services.engine) as session:
        found = list_entries(
            session,
            visitor.caller.tenant_id,
            batch_id=batch_id,
            chosen=chosen,
            limit=PICTURES_A_PAGE,
            after=after,
        )
    return [asdict(entry) for entry in found]


def query_of(chosen: ResultFilter) -> str:
    """The filter as an address holds it, without what leaves out nothing."""
    return urlencode({name: value for name, value in asdict(chosen).items() if value is not None})
