"""The route of a batch's results: cursor pages, an NDJSON stream, CSV or Parquet.

Streams read the records page by page in short transactions, so that memory stays flat and no transaction stays open
while a client reads slowly. The first page is read before the answer begins, so that faults there are still problems.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import chain
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.auth import ResultReader
from api.dependencies import BatchId, GivenServices, Services
from api.documents import exports, problems
from api.result_formats import MEDIA_TYPES, WRITERS, Format, choose_format
from api.result_schemas import Discovery, Result, ResultPage, build_result
from api.schemas import ItemState, VerdictName
from api.streaming import read_pages
from leaktrace.records.batches import find_batch
from leaktrace.records.database import transaction
from leaktrace.records.results import ResultFilter, list_results, p_values_of

DEFAULT_LIMIT = 100

SAVED = ("csv", "parquet")  # formats that browsers save as a file

Share = Annotated[float | None, Query(ge=0, le=1)]

router = APIRouter(prefix="/v1/batches", tags=["results"])


def _filter(
    state: ItemState | None = None,
    verdict: VerdictName | None = None,
    generator: Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]*$")] = None,
    error_code: Annotated[
        str | None, Query(min_length=1, max_length=64, pattern=r"^[a-z_]*$", description="Why items failed.")
    ] = None,
    p_min: Share = None,
    p_max: Share = None,
) -> ResultFilter:
    return ResultFilter(state, verdict, generator, error_code, p_min, p_max)


GivenFilter = Annotated[ResultFilter, Depends(_filter)]


@dataclass(frozen=True)
class Listing:
    """Which results of whose batch are wanted."""

    services: Services
    tenant_id: UUID
    batch_id: UUID
    chosen: ResultFilter
    fdr: float | None = None

    @cached_property
    def adjusted(self) -> dict[UUID, float]:
        """The false discovery rate at which each attribution of the whole batch would just be a discovery."""
        # Here, since it is seldom asked for and takes as long to import as the whole service.
        from leaktrace.science.discoveries import adjusted_p_values

        with transaction(self.services.engine) as session:
            found = p_values_of(session, self.tenant_id, batch_id=self.batch_id)
        return dict(zip(found, adjusted_p_values(list(found.values())).tolist(), strict=True))

    @property
    def name(self) -> tuple[object, ...]:
        """What a cursor is sealed with."""
        return ("results", self.tenant_id, self.batch_id, *astuple(self.chosen))

    def read(self, *, limit: int, after: str | None) -> list[Result]:
        """At most `limit` results behind a custom_id."""
        with transaction(self.services.engine) as session:
            rows = list_results(
                session, self.tenant_id, batch_id=self.batch_id, chosen=self.chosen, limit=limit, after=after
            )
        results = [build_result(row) for row in rows]
        return results if self.fdr is None else [self._discovered(one, self.fdr) for one in results]

    def _discovered(self, result: Result, rate: float) -> Result:
        if result.attribution is None:
            return result
        # An image that was answered since the rates were read is no discovery yet.
        adjusted = self.adjusted.get(result.attribution.id, 1.0)
        found = Discovery(rate=rate, adjusted_p=adjusted, unseen=adjusted <= rate)
        return result.model_copy(update={"discovery": found})

    def pages(self, *, after: str | None, most: int | None) -> Iterator[list[Result]]:
        """All results behind `after`, or the first `most` of them, page by page."""
        return read_pages(
            lambda limit, behind: self.read(limit=limit, after=behind),
            lambda result: result.custom_id,
            start=after,
            most=most,
        )


@router.get(
    "/{batch_id}/results",
    response_model=ResultPage,
    responses={**exports("custom_id,file_name,item_id,state"), **problems(400, 404, 406, 422)},
)
def results(
    batch_id: BatchId,
    request: Request,
    services: GivenServices,
    caller: ResultReader,
    chosen: GivenFilter,
    limit: Annotated[
        int | None, Query(ge=1, le=1000, description="JSON: 100 unless given. Streams: all.")
    ] = None,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
    fdr: Annotated[
        float | None,
        Query(
            gt=0,
            lt=1,
            description="Also say of each image whether it is unseen at this false discovery rate over the batch.",
        ),
    ] = None,
    format: Annotated[Format | None, Query(description="Overrides the Accept header.")] = None,
) -> Response:
    """Read the results of a batch, also while it is in progress: items that are not finished say so by their state."""
    kind = choose_format(format, accept=request.headers.get("accept"))
    listing = Listing(services, caller.tenant_id, batch_id, chosen, fdr)
    after = services.cursors.open(cursor, listing=listing.name)
    with transaction(services.engine) as session:
        find_batch(session, caller.tenant_id, batch_id=batch_id)
    if kind == "json":
        return _page(listing, limit=limit or DEFAULT_LIMIT, after=after)
    return _stream(listing, kind=kind, after=after, most=limit)


def _page(listing: Listing, *, limit: int, after: str | None) -> Response:
    found = listing.read(limit=limit + 1, after=after)
    page, further = listing.services.cursors.cut(
        found, limit, listing=listing.name, position=lambda result: result.custom_id
    )
    body = ResultPage(data=page, next_cursor=further).model_dump_json()
    return Response(body, media_type="application/json", headers={"Vary": "Accept"})


def _stream(listing: Listing, *, kind: Format, after: str | None, most: int | None) -> Response:
    pages = listing.pages(after=after, most=most)
    first = next(pages, [])
    headers = {"Vary": "Accept"}
    if kind in SAVED:
        headers["Content-Disposition"] = f'attachment; filename="results-{listing.batch_id}.{kind}"'
    return StreamingResponse(
        WRITERS[kind](chain([first], pages)), media_type=MEDIA_TYPES[kind], headers=headers
    )
