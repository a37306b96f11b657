"""The route of a batch's summary: what its results look like together, and how long the rest will take."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth import ResultReader
from api.dependencies import BatchId, GivenServices
from api.documents import problems
from api.examples import EXAMPLE_ID
from leaktrace.records import models
from leaktrace.records.batches import FINISHED_STATES, find_batch
from leaktrace.records.database import transaction
from leaktrace.records.items import count_items
from leaktrace.records.summaries import P_VALUE_BINS, summarise

EXAMPLE: dict[str, Any] = {
    "batch_id": EXAMPLE_ID,
    "verdicts": {"generator": 58, "unseen": 3, "inconclusive": 2},
    "generators": {"sd-2.1": 31, "real": 27},
    "failures": {"truncated": 1},
    "p_values": [5, 3, 4, 3, 2, 4, 3, 3, 3, 3, 4, 2, 3, 3, 3, 4, 3, 3, 2, 3],
    "images_per_second": 12.5,
    "seconds_left": 4.5,
}

router = APIRouter(prefix="/v1/batches", tags=["results"])


class BatchSummary(BaseModel):
    """A batch's results together. Names that never occur are left out of the counts."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    batch_id: UUID
    verdicts: dict[str, int] = Field(description="Attributed images by verdict.")
    generators: dict[str, int] = Field(description="Images by the generator that was named, most first.")
    failures: dict[str, int] = Field(description="Failed items by error code, most first.")
    p_values: list[int] = Field(
        description=f"Attributed images by p-value, in {P_VALUE_BINS} equal bins from 0 to 1."
    )
    images_per_second: float | None = Field(
        description="Of the last minute while the batch is in progress, of the whole time afterwards."
    )
    seconds_left: float | None = Field(
        description="At that speed; null when nothing is left or none is known."
    )


@router.get("/{batch_id}/summary", response_model=BatchSummary, responses=problems(404, 422))
def summary(batch_id: BatchId, services: GivenServices, caller: ResultReader) -> BatchSummary:
    """Verdicts, generators, failures and p-values of a batch, its speed, and the time left."""
    with transaction(services.engine) as session:
        return build_summary(session, find_batch(session, caller.tenant_id, batch_id=batch_id))


def build_summary(session: Session, batch: models.Batch) -> BatchSummary:
    """The summary as the batch's owner sees it."""
    found = summarise(session, batch)
    counts = count_items(session, [batch.id])[batch.id]
    left = counts["pending"] + counts["running"] if batch.state not in FINISHED_STATES else 0
    seconds_left = left / found.images_per_second if left and found.images_per_second else None
    return BatchSummary(
        batch_id=batch.id,
        verdicts=found.verdicts,
        generators=found.generators,
        failures=found.failures,
        p_values=found.p_values,
        images_per_second=found.images_per_second,
        seconds_left=seconds_left,
    )
