"""Lets go of what is older than the operator wants it kept, a part at each run. Knows nothing of what is kept why."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Engine

from leaktrace.records.database import transaction
from leaktrace.records.retention import (
    delete_old_batches,
    drop_old_drift_runs,
    drop_old_embeddings,
    drop_old_quarantine,
)
from leaktrace.settings import Settings

BATCHES_A_RUN = 100
ROWS_A_RUN = 5_000


@dataclass(frozen=True)
class RetentionRules:
    """How long results, embeddings and quarantine entries are kept; None is for ever. `kept` batches have no age."""

    results: timedelta | None = None
    embeddings: timedelta | None = None
    quarantine: timedelta | None = None
    kept: tuple[UUID, ...] = ()


def retention_rules(settings: Settings) -> RetentionRules:
    """The lifetimes that the operator has set."""

    def lifetime(days: float | None) -> timedelta | None:
        return None if days is None else timedelta(days=days)

    return RetentionRules(
        results=lifetime(settings.keep_results_days),
        embeddings=lifetime(settings.keep_embeddings_days),
        quarantine=lifetime(settings.keep_quarantine_days),
        kept=(settings.golden_batch,) if settings.golden_batch is not None else (),
    )


def let_go(engine: Engine, rules: RetentionRules) -> dict[str, int]:
    """Let go of what is too old, each kind in a transaction of its own; how much of each went."""
    gone = {"old_batches": 0, "old_embeddings": 0, "old_quarantine": 0}
    if rules.results is not None:
        with transaction(engine) as session:
            accepted = delete_old_batches(session, age=rules.results, kept=rules.kept, limit=BATCHES_A_RUN)
            gone["old_batches"] = len(accepted)
    if rules.embeddings is not None:
        with transaction(engine) as session:
            gone["old_embeddings"] = drop_old_embeddings(
                session, age=rules.embeddings, kept=rules.kept, limit=ROWS_A_RUN
            )
    if rules.quarantine is not None:
        with transaction(engine) as session:
            gone["old_quarantine"] = drop_old_quarantine(session, age=rules.quarantine, limit=ROWS_A_RUN)
    with transaction(engine) as session:
        gone["old_drift_runs"] = drop_old_drift_runs(session)
    return gone
