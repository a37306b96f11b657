"""Judges a batch, or a range of time, again by what is in force: new attributions beside the old ones.

From stored embeddings where this model made them, from the stored bytes otherwise. Each step is one transaction, so
that a re-score which is broken off goes on where it ended. One runs at a time, beside the shards.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import bind_context, get_logger
from leaktrace.objects import ObjectStore
from leaktrace.records.database import transaction
from leaktrace.records.densities import active_density, as_checkpoint
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.locks import RESCORE_LOCK
from leaktrace.records.outcomes import Failure, NewAttribution, store_attributions
from leaktrace.records.rescore_models import Rescore
from leaktrace.records.rescoring import (
    ItemToRescore,
    begin_rescore,
    end_rescore,
    items_to_rescore,
    judged_already,
    next_rescore,
    save_rescored,
    stored_images,
)
from worker.executor import Attributed, AttributionFailed
from worker.halt import Halt
from worker.loaded_models import LoadedModel, read_density
from worker.periodic import run_alone
from worker.preparation import ImageWork, Preparation, Preparer
from worker.recording import as_record
from worker.rejudging import rejudge

if TYPE_CHECKING:
    from leaktrace.science.judging import Judge

IMAGES_A_STEP = 100
MAX_ATTEMPTS = 3

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Rescorer:
    """One scheduled run is one call of `run`: it does the oldest open re-score, as far as the process lives."""

    engine: Engine
    store: ObjectStore
    model: LoadedModel
    preparer: Preparer
    threads: Executor
    halt: Halt

    def run(self) -> bool:
        """Go on with what is open unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; the next run goes on.
        """
        return run_alone(self.engine, RESCORE_LOCK, self._go_on)

    def _go_on(self) -> None:
        with transaction(self.engine) as session:
            rescore = self._begin(session)
        if rescore is not None:
            with bind_context(rescore_id=str(rescore.id)):
                self._carry_out(rescore)

    def _begin(self, session: Session) -> Rescore | None:
        rescore = next_rescore(session, self.model.version)
        if rescore is None:
            return None
        own = active_density(session, self.model.version, tenant_id=rescore.tenant_id)
        density = own or active_density(session, self.model.version)
        if density is None:
            return None  # the refit publishes one
        begin_rescore(session, rescore.id, model_version=self.model.version, density_version=density.version)
        return rescore

    def _carry_out(self, rescore: Rescore) -> None:
        judge, error = self._judge(rescore), None
        if judge is None:
            error = f"{rescore.density_version} cannot be had any more; ask for another re-score"
        elif rescore.attempts > MAX_ATTEMPTS:
            judge, error = None, f"the same images ended {MAX_ATTEMPTS} workers; please report them"
        while judge is not None and not self.halt.begun:
            with transaction(self.engine) as session:
                items = items_to_rescore(session, rescore, limit=IMAGES_A_STEP)
            if not items:
                break
            self._step(rescore, judge, items)
        if self.halt.begun:
            return
        with transaction(self.engine) as session:
            end_rescore(session, rescore.id, error=error)
        log.info(
            "rescored", state="failed" if error else "completed", density_version=rescore.density_version
        )

    def _judge(self, rescore: Rescore) -> "Judge | None":
        with transaction(self.engine) as session:
            checkpoint = as_checkpoint(session.get_one(DensityVersion, rescore.density_version))
        try:
            density = read_density(checkpoint, self.store)
            return self.model.attributor.make_judge(density, version=checkpoint.version)
        except ValueError as error:
            log.warning("rescore_impossible", error=str(error))
            return None

    def _step(self, rescore: Rescore, judge: "Judge", items: Sequence[ItemToRescore]) -> None:
        image_ids = sorted({item.image_id for item in items})
        with transaction(self.engine) as session:
            judged = judged_already(session, rescore, image_ids=image_ids)
            left = [image_id for image_id in image_ids if image_id not in judged]
            stored = stored_images(session, self.model.version, image_ids=left)
        hashes = {item.image_id: item.sha256 for item in items}
        unread = {image_id: hashes[image_id] for image_id in left if image_id not in stored}
        started = time.perf_counter()
        again = rejudge(judge, list(stored.values()))
        seconds = (time.perf_counter() - started) / max(1, len(again))
        new: dict[UUID, NewAttribution | Failure] = {
            image_id: as_record(Attributed(attribution, judge.version, seconds), {})
            for image_id, attribution in zip(stored, again, strict=True)
        }
        new |= self._from_bytes(rescore.tenant_id, judge, unread)
        with transaction(self.engine) as session:
            self._save(session, rescore, items, judged=judged, new=new)

    def _from_bytes(
        self, tenant_id: UUID, judge: "Judge", hashes: Mapping[UUID, str]
    ) -> dict[UUID, NewAttribution | Failure]:
        """What the model says of images that it has never seen, by the image's id."""
        works = [ImageWork((), image_id, sha256, None, None) for image_id, sha256 in hashes.items()]
        begun = self.threads.map(lambda work: self.preparer.begin(work, tenant_id=tenant_id), works)
        found: dict[UUID, NewAttribution | Failure] = {}
        submitted = []
        for image_id, one in zip(hashes, begun, strict=True):
            if isinstance(one, Preparation):
                future = self.model.executor.submit(one.prepared, judge=judge)
                submitted.append((image_id, one.seconds, future))
            elif isinstance(one.result, Failure):
                found[image_id] = one.result
        for image_id, seconds, future in submitted:
            try:
                found[image_id] = as_record(future.result(), seconds)
            except AttributionFailed as failure:
                found[image_id] = Failure(code=failure.code, detail=str(failure))
        return found

    def _save(
        self,
        session: Session,
        rescore: Rescore,
        items: Sequence[ItemToRescore],
        *,
        judged: Mapping[UUID, UUID],
        new: Mapping[UUID, NewAttribution | Failure],
    ) -> None:
        made = {key: value for key, value in new.items() if isinstance(value, NewAttribution)}
        stored = store_attributions(session, rescore.tenant_id, new=made, model_version=self.model.version)
        after = {**judged, **stored}
        rows: list[dict[str, Any]] = []
        for item in items:
            failure = new.get(item.image_id)
            rows.append(
                {
                    "item_id": item.item_id,
                    "before_id": item.before_id,
                    "after_id": after.get(item.image_id),
                    "error_code": failure.code if isinstance(failure, Failure) else None,
                }
            )
        save_rescored(session, rescore.id, rows)
