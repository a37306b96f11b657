"""How one shard is attributed: claim, fetch and decode on threads, attribute on the executor, save in one transaction.

Two shards at a time keep everything busy: while the images of one are on the device, those of the other are fetched.
Whatever happens, the shard ends in one of four ways: saved, given back, abandoned to the sweeper, or lost to another
worker. Knows nothing of Celery.
"""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.errors import Unavailable
from leaktrace.logs import bind_context, get_logger
from leaktrace.objects import ObjectStore, ObjectStoreUnavailable, staged_key
from leaktrace.queue import ShardQueue, enqueue_after_commit
from leaktrace.records.database import DatabaseUnavailable, transaction
from leaktrace.records.densities import DensitiesInForce, densities_for_shard
from leaktrace.records.leases import Lease, abandon_shard, claim_shard, deaths_of
from leaktrace.records.outcomes import Failure, NewAttribution, Outcome, SavedShard, save_outcomes, save_part
from worker.backoff import Backoff
from worker.executor import Attributed, AttributionFailed, ModelBroken
from worker.halt import Halt, Halting
from worker.held_leases import HeldLeases, LeaseLost
from worker.loaded_models import LoadedModel
from worker.preparation import ImageWork, Preparation, Preparer, plan
from worker.progress import Progress
from worker.recording import as_record, summary
from worker.solitude import Solitude

if TYPE_CHECKING:
    from leaktrace.science.judging import Judge

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
        deaths, densities = self._insist(lambda session: self._look(session, shard_id))
        with self.solitude.enter(alone=deaths > 0):
            if self.halt.begun:
                self._send_again(shard_id)
                return
            self.model.refresh_density(densities.shared, self.store)
            judge = self.model.judge_of(densities.own, self.store)
            lease = self._claim(shard_id)
            if lease is not None:
                with self.leases.hold(lease), bind_context(batch_id=str(lease.batch_id)):
                    self._attribute(lease, judge)

    def _look(self, session: Session, shard_id: UUID) -> tuple[int, DensitiesInForce]:
        densities = densities_for_shard(session, shard_id, model_version=self.model.version)
        return deaths_of(session, shard_id), densities

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

    def _attribute(self, lease: Lease, judge: "Judge | None") -> None:
        started = time.perf_counter()
        try:
            outcomes, absence = self._outcomes(lease, judge)
            if absence is not None:
                self.backoff.fail()
                self._release(lease, outcomes, why=absence.code, error=str(absence))
                return
            saved = self._save(lease, outcomes)
        except LeaseLost:
            log.warning("lease_lost")
        except Halting:
            self._release(lease, [], why="worker_stopping")
        except Exception as error:
            self._abandon(lease, error)
        else:
            self.backoff.succeed()
            self._conclude(lease, outcomes, saved, seconds=time.perf_counter() - started)

    def _outcomes(
        self, lease: Lease, judge: "Judge | None"
    ) -> tuple[list[Outcome], ObjectStoreUnavailable | None]:
        """All outcomes; or, when the store was away for one image, those of the images that were begun before."""
        works = plan(lease.items)
        random.shuffle(
            works
        )  # so that an object that cannot be read keeps no others from being reached for ever
        jobs = [self.decoders.submit(self._begin, work, lease, judge) for work in works]
        try:
            begun, absence = self._await_all(jobs, lease)
            return [self._finish(one, lease) if isinstance(one, _Begun) else one for one in begun], absence
        finally:
            _cancel(jobs)

    def _await_all(
        self, jobs: Sequence["Future[_Begun | Outcome]"], lease: Lease
    ) -> tuple[list[_Begun | Outcome], ObjectStoreUnavailable | None]:
        begun: list[_Begun | Outcome] = []
        absence: ObjectStoreUnavailable | None = None
        for job in jobs:
            try:
                begun.append(self._await(job, lease))
            except ObjectStoreUnavailable as error:
                absence = absence or error
                for other in jobs:
                    other.cancel()
            except CancelledError:
                continue
        return begun, absence

    def _begin(self, work: ImageWork, lease: Lease, judge: "Judge | None") -> _Begun | Outcome:
        self.leases.check(lease)
        prepared = self.preparer.begin(work, tenant_id=lease.tenant_id)
        self.progress.note()
        if isinstance(prepared, Outcome):
            return prepared
        return _Begun(prepared, self.model.executor.submit(prepared.prepared, judge=judge))

    def _finish(self, begun: _Begun, lease: Lease) -> Outcome:
        work = begun.preparation.work
        try:
            attributed = self._await(begun.future, lease)
        except AttributionFailed as failure:
            result: NewAttribution | Failure = Failure(code=failure.code, detail=str(failure))
        else:
            result = as_record(attributed, begun.preparation.seconds)
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
        log.info("shard_attributed", **summary(outcomes), seconds=round(seconds, 4))
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

    def _release(self, lease: Lease, outcomes: Sequence[Outcome], **why: str) -> None:
        log.warning("shard_released", saved=len(outcomes), **why)
        self._insist(lambda session: self._release_and_send(session, lease, outcomes))
        self._delete_staged(lease, outcomes)

    def _release_and_send(self, session: Session, lease: Lease, outcomes: Sequence[Outcome]) -> None:
        if save_part(session, lease, outcomes, model_version=self.model.version):
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
