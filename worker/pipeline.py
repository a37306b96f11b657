"""How one shard is attributed: claim, fetch and decode on threads, attribute on the executor, save in one transaction.

Two shards at a time keep everything busy: while the images of one are on the device, those of the other are fetched.
Whatever happens, the shard ends in one of four ways: saved, given back, abandoned to the sweeper, or lost to another
worker. Knows nothing of Celery.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.errors import Unavailable
from leaktrace.logs import bind_context, get_logger
from leaktrace.objects import ObjectStore, staged_key
from leaktrace.queue import ShardQueue, enqueue_after_commit
from leaktrace.records.database import DatabaseUnavailable, transaction
from leaktrace.records.densities import DensityCheckpoint, active_density
from leaktrace.records.leases import Lease, abandon_shard, claim_shard, deaths_of, release_shard
from leaktrace.records.outcomes import Failure, NewAttribution, Outcome, SavedShard, save_outcomes
from worker.backoff import Backoff
from worker.executor import Attributed, AttributionFailed, ModelBroken
from worker.halt import Halt, Halting
from worker.held_leases import HeldLeases, LeaseLost
from worker.loaded_models import LoadedModel
from worker.preparation import ImageWork, Preparation, Preparer, plan
from worker.progress import Progress
from worker.solitude import Solitude

POLL_SECONDS = 0.2
# Results wait in memory meanwhile, so that a database that is back is used soon.
DATABASE_POLL_SECONDS = 2.0

Answer = TypeVar("Answer")
log = get_logger(__name__)


@dataclass(frozen=True)
class _Begun:
    """An image that is with the executor."""

    preparation: Preparation
    future: "Future[Attributed]"


@dataclass(frozen=True, kw_only=True)
class ShardPipeline:
    """What one process needs to attribute shards; `run` may be called from several threads at once."""

    worker_id: str
    engine: Engine
    store: ObjectStore
    queue: ShardQueue
    model: LoadedModel
    preparer: Preparer
    decoders: ThreadPoolExecutor
    leases: HeldLeases
    solitude: Solitude
    halt: Halt
    backoff: Backoff
    progress: Progress

    def run(self, shard_id: UUID) -> None:
        """Attribute the shard if it is still there to be claimed. Raises nothing that is worth a redelivery."""
        self.halt.wait(self.backoff.delay())
        with bind_context(shard_id=str(shard_id)):
            try:
                self._claim_and_attribute(shard_id)
            except (Halting, DatabaseUnavailable):
                log.info("shard_left_to_sweeper")

    def _claim_and_attribute(self, shard_id: UUID) -> None:
        deaths, density = self._insist(lambda session: self._look(session, shard_id))
        with self.solitude.enter(alone=deaths > 0):
            if self.halt.begun:
                self._send_again(shard_id)
                return
            self.model.refresh_density(density, self.store)
            lease = self._claim(shard_id)
            if lease is not None:
                with self.leases.hold(lease), bind_context(batch_id=str(lease.batch_id)):
                    self._attribute(lease)

    def _look(self, session: Session, shard_id: UUID) -> tuple[int, DensityCheckpoint | None]:
        return deaths_of(session, shard_id), active_density(session, self.model.version)

    def _claim(self, shard_id: UUID) -> Lease | None:
        owner = f"{self.worker_id}/{uuid4().hex}"
        lease = self._insist(
            lambda session: claim_shard(
                session,
                shard_id,
                owner=owner,
                lease_seconds=self.leases.lease_seconds,
                model_version=self.model.version,
            )
        )
        self.progress.note()
        log.debug("shard_claimed", claimed=lease is not None)
        return lease

    def _attribute(self, lease: Lease) -> None:
        started = time.perf_counter()
        try:
            outcomes = self._outcomes(lease)
            saved = self._save(lease, outcomes)
        except LeaseLost:
            log.warning("lease_lost")
        except Halting:
            self._release(lease, why="worker_stopping")
        except Unavailable as error:
            self.backoff.fail()
            self._release(lease, why=error.code, error=str(error))
        except Exception as error:
            self._abandon(lease, error)
        else:
            self.backoff.succeed()
            self._conclude(lease, outcomes, saved, seconds=time.perf_counter() - started)

    def _outcomes(self, lease: Lease) -> list[Outcome]:
        works = plan(lease.items)
        jobs = [self.decoders.submit(self._begin, work, lease) for work in works]
        try:
            begun = [self._await(job, lease) for job in jobs]
            return [self._finish(one, lease) if isinstance(one, _Begun) else one for one in begun]
        finally:
            _cancel(jobs)

    def _begin(self, work: ImageWork, lease: Lease) -> _Begun | Outcome:
        self.leases.check(lease)
        prepared = self.preparer.begin(work, tenant_id=lease.tenant_id)
        self.progress.note()
        if isinstance(prepared, Outcome):
            return prepared
        return _Begun(prepared, self.model.executor.submit(prepared.prepared))

    def _finish(self, begun: _Begun, lease: Lease) -> Outcome:
        work = begun.preparation.work
        try:
            attributed = self._await(begun.future, lease)
        except AttributionFailed as failure:
            result: NewAttribution | Failure = Failure(code=failure.code, detail=str(failure))
        else:
            result = _as_record(attributed, begun.preparation.seconds)
        return Outcome(
            item_ids=work.item_ids, image_id=work.image_id, image=begun.preparation.image, result=result
        )

    def _await(self, future: "Future[Answer]", lease: Lease) -> Answer:
        while not future.done():
            wait([future], timeout=POLL_SECONDS)
            self.leases.check(lease)
            if self.halt.drained:
                raise Halting
        self.progress.note()
        return future.result()

    def _save(self, lease: Lease, outcomes: Sequence[Outcome]) -> SavedShard:
        version = self.model.version
        saved = self._insist(lambda session: save_outcomes(session, lease, outcomes, model_version=version))
        if saved is None:
            raise LeaseLost
        self.progress.note()
        return saved

    def _conclude(
        self, lease: Lease, outcomes: Sequence[Outcome], saved: SavedShard, *, seconds: float
    ) -> None:
        self._delete_staged(lease, outcomes)
        log.info("shard_attributed", **_summary(outcomes), seconds=round(seconds, 4))
        if saved.batch_state is not None:
            log.info("batch_finished", state=saved.batch_state)

    def _delete_staged(self, lease: Lease, outcomes: Sequence[Outcome]) -> None:
        # Kept until now, so that a shard that is attributed again finds them; what stays behind costs only space.
        staged = {item.item_id for item in lease.items if item.image_id is None}
        kept = [item_id for outcome in outcomes if outcome.image for item_id in outcome.item_ids]
        keys = [staged_key(lease.tenant_id, item_id) for item_id in kept if item_id in staged]
        try:
            self.store.delete(keys)
        except Unavailable as error:
            log.warning("staged_objects_left", objects=len(keys), error=str(error))

    def _release(self, lease: Lease, **why: str) -> None:
        log.warning("shard_released", **why)
        self._insist(lambda session: self._release_and_send(session, lease))

    def _release_and_send(self, session: Session, lease: Lease) -> None:
        if release_shard(session, lease):
            enqueue_after_commit(session, self.queue, [lease.shard_id])

    def _abandon(self, lease: Lease, error: Exception) -> None:
        log.error("shard_abandoned", exc_info=error)
        self._insist(lambda session: abandon_shard(session, lease))
        if isinstance(error, ModelBroken):
            self.halt.end_process()

    def _send_again(self, shard_id: UUID) -> None:
        try:
            self.queue.send([shard_id])
        except Unavailable as error:
            log.warning("shard_not_sent_again", error=str(error))

    def _insist(self, step: Callable[[Session], Answer]) -> Answer:
        """Run a transaction until the database has taken it; gives up only when the process has to end."""
        away = Backoff(longest_seconds=DATABASE_POLL_SECONDS)
        while True:
            try:
                with transaction(self.engine) as session:
                    return step(session)
            except DatabaseUnavailable as error:
                log.warning("database_away", error=str(error))
                self.progress.note()  # waiting for the database is all that can be done
                if self.halt.drained:
                    raise
                self._pause(away.fail())

    def _pause(self, seconds: float) -> None:
        if self.halt.wait(seconds):
            time.sleep(POLL_SECONDS)


def _cancel(jobs: Sequence["Future[_Begun | Outcome]"]) -> None:
    for job in jobs:
        if not job.cancel() and job.done() and job.exception() is None:
            begun = job.result()
            if isinstance(begun, _Begun):
                begun.future.cancel()


def _as_record(attributed: Attributed, seconds: dict[str, float]) -> NewAttribution:
    attribution = attributed.attribution
    timings = {stage: round(took, 6) for stage, took in {**seconds, "attribute": attributed.seconds}.items()}
    return NewAttribution(
        density_version=attributed.density_version,
        verdict=attribution.verdict,
        generator=attribution.generator,
        p_value=attribution.p_value,
        smallest_p=attribution.smallest_p,
        alpha=attribution.alpha,
        reason=attribution.reason,
        probabilities=attribution.probabilities,
        p_values=attribution.p_values,
        explanation=attribution.explanation.to_dict(),
        extended=attribution.extended,
        timings=timings,
        embedding=attribution.embedding,
    )


def _summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """What a log line says of a shard: images, what became of them, and the seconds of each stage summed."""
    results = [outcome.result for outcome in outcomes]
    new = [result for result in results if isinstance(result, NewAttribution)]
    stages = ("fetch", "decode", "attribute")
    return {
        "images": len(outcomes),
        "items": sum(len(outcome.item_ids) for outcome in outcomes),
        "attributed": len(new),
        "reused": sum(outcome.attribution_id is not None for outcome in outcomes),
        "failed": sum(isinstance(result, Failure) for result in results),
        **{f"{stage}_seconds": round(sum(one.timings[stage] for one in new), 4) for stage in stages},
    }
