"""One worker process: its model, its connections and its threads, from the start to the soft shutdown.

Everything that lives as long as the process is made here and handed down as plain arguments. The Celery app drives it
through `start`, `ready`, `halt` and `stop`; the tasks find it with `current`.
"""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sqlalchemy import Engine

from leaktrace.addresses import AddressRules
from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore, connect_store
from leaktrace.queue import ShardQueue
from leaktrace.records.database import connect_database, transaction
from leaktrace.records.registry import remove_worker
from leaktrace.science.discovery import DiscoveryRules
from leaktrace.science.gates import GateRules
from leaktrace.science.images import DecodeLimits
from leaktrace.science.layout import LayoutRules
from leaktrace.sealing import make_seal
from leaktrace.settings import Settings
from worker import loaded_models
from worker.backoff import Backoff
from worker.challenge import Challenge
from worker.decoding import FrugalDecoder
from worker.deletion import Deleter
from worker.deliveries import Deliverer
from worker.density_watch import DensityWatch
from worker.discovery import Discoverer
from worker.drift import DriftLook, drift_windows
from worker.enrolment import Enroller
from worker.executor import AttributionExecutor
from worker.expiry import expire
from worker.halt import Halt
from worker.heartbeat import Heartbeat
from worker.held_leases import HeldLeases
from worker.loaded_models import LoadedModel, free_device_memory, is_out_of_memory
from worker.maps import MapDrawer
from worker.pipeline import ShardPipeline
from worker.preparation import Preparer
from worker.progress import Progress
from worker.quarantine import quarantine_rules
from worker.refit import Refitter, refit_rules
from worker.registration import insist, register
from worker.rescoring import Rescorer
from worker.retention import retention_rules
from worker.shadow import shadow_rules
from worker.solitude import Solitude
from worker.sweeper import SWEEPS_BEFORE_RESENDING, Sweeper
from worker.tidying import Tidier
from worker.webhook_sender import WebhookSender

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor

log = get_logger(__name__)
_current: "WorkerProcess | None" = None


@contextmanager
def _breaking_off(event: str) -> Iterator[None]:
    """Log a server that is away as `event`: what was begun is met again at the next run."""
    try:
        yield
    except Unavailable as error:
        log.warning(event, error=str(error))


class WorkerProcess:
    """What a process that takes shards consists of."""

    def __init__(
        self,
        settings: Settings,
        attributor: "Attributor",
        *,
        engine: Engine,
        store: ObjectStore,
        queue: ShardQueue,
    ) -> None:
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._engine, self._store, self._queue = engine, store, queue
        self._halt = Halt()
        self._model = LoadedModel(attributor, _executor(settings, attributor))
        self._leases = HeldLeases(lease_seconds=settings.lease_seconds)
        self._progress = Progress(settings.progress_path)
        self._decoders = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self._preparer = self._make_preparer(settings)
        self._pipeline = self._make_pipeline()
        self._heartbeat = self._make_heartbeat()
        self._density_watch = DensityWatch(engine, store, self._model)
        self._sweeper = Sweeper(
            engine=engine,
            queue=queue,
            max_attempts=settings.max_attempts,
            resend_after_seconds=settings.sweep_interval_seconds * SWEEPS_BEFORE_RESENDING,
        )
        self._enroller = Enroller(engine=engine, store=store, rules=GateRules())
        self._deleter = Deleter(engine=engine, store=store)
        self._tidier = Tidier(engine=engine, store=store, grace=timedelta(hours=settings.tidy_grace_hours))
        self._refitter = Refitter(engine=engine, store=store, rules=refit_rules(settings))
        self._challenge = Challenge(
            engine=engine, store=store, refitter=self._refitter, rules=shadow_rules(settings)
        )
        self._discoverer = Discoverer(
            engine=engine, store=store, quarantine=quarantine_rules(settings), rules=DiscoveryRules()
        )
        self._rescorer = self._make_rescorer()
        self._retention = retention_rules(settings)
        self._drift = DriftLook(engine=engine, store=store, windows=drift_windows(settings))
        self._map_drawer = MapDrawer(engine=engine, rules=LayoutRules())
        self._deliverer = self._make_deliverer(settings)

    def ready(self, *, takes_shards: bool) -> None:
        """Say that the worker lives, from now on."""
        self._heartbeat.start(takes_shards=takes_shards)
        self._density_watch.start()
        log.info("worker_ready", worker_id=self.worker_id, model_version=self._model.version)

    def halt(self) -> None:
        """Take no more work and end what was begun soon; returns at once, for signal handlers."""
        self._halt.begin()

    def stop(self) -> None:
        """Leave in good order, once no task runs any more."""
        self._heartbeat.stop()
        self._density_watch.stop()
        self._decoders.shutdown(cancel_futures=True)
        self._deliverer.close()
        self._model.executor.close()
        with _breaking_off("worker_not_removed"), transaction(self._engine) as session:
            remove_worker(session, self.worker_id)
        self._engine.dispose()
        log.info("worker_stopped", worker_id=self.worker_id)

    def attribute_shard(self, shard_id: UUID) -> None:
        """See `ShardPipeline.run`."""
        self._pipeline.run(shard_id)

    def sweep(self) -> None:
        """See `Sweeper.sweep`; servers that are away are met again at the next sweep."""
        with _breaking_off("sweep_broken_off"):
            self._sweeper.sweep()

    def expire_batches(self) -> None:
        """See `expire`."""
        with _breaking_off("expiry_broken_off"):
            expire(self._engine, self._retention)

    def refit_density(self) -> None:
        """See `Refitter.run`."""
        with _breaking_off("refit_broken_off"):
            self._refitter.run(self._model.attributor)

    def discover(self) -> None:
        """See `Discoverer.run`."""
        with _breaking_off("discovery_broken_off"):
            self._discoverer.run(self._model.attributor)

    def enrol(self) -> None:
        """See `Enroller.run`."""
        with _breaking_off("enrolment_broken_off"):
            self._enroller.run(self._model.attributor)

    def delete_batches(self) -> None:
        """See `Deleter.run`."""
        with _breaking_off("deletion_broken_off"):
            self._deleter.run()

    def tidy_store(self) -> None:
        """See `Tidier.run`."""
        with _breaking_off("tidying_broken_off"):
            self._tidier.run()

    def challenge(self) -> None:
        """See `Challenge.run`."""
        with _breaking_off("challenge_broken_off"):
            self._challenge.run(self._model.attributor)

    def rescore(self) -> None:
        """See `Rescorer.run`."""
        with _breaking_off("rescore_broken_off"):
            self._rescorer.run()

    def watch_drift(self) -> None:
        """See `DriftLook.run`."""
        with _breaking_off("drift_look_broken_off"):
            self._drift.run(self._model.attributor)

    def deliver(self) -> None:
        """See `Deliverer.run`."""
        with _breaking_off("deliveries_broken_off"):
            self._deliverer.run()

    def draw_maps(self) -> None:
        """See `MapDrawer.run`."""
        with _breaking_off("maps_broken_off"):
            self._map_drawer.run(self._model.attributor)

    def _make_deliverer(self, settings: Settings) -> Deliverer:
        rules = AddressRules(settings.webhook_allowed_networks)
        sender = WebhookSender(
            rules=rules, seconds=settings.webhook_timeout_seconds, seal=make_seal(settings)
        )
        return Deliverer(
            self._engine,
            sender,
            owner=self.worker_id,
            lease_seconds=settings.lease_seconds,
            halt=self._halt,
        )

    def _make_preparer(self, settings: Settings) -> Preparer:
        limits = DecodeLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        return Preparer(self._store, FrugalDecoder(self._model.attributor.prepare, limits))

    def _make_rescorer(self) -> Rescorer:
        return Rescorer(
            engine=self._engine,
            store=self._store,
            model=self._model,
            preparer=self._preparer,
            threads=self._decoders,
            halt=self._halt,
        )

    def _make_pipeline(self) -> ShardPipeline:
        return ShardPipeline(
            worker_id=self.worker_id,
            engine=self._engine,
            store=self._store,
            queue=self._queue,
            model=self._model,
            preparer=self._preparer,
            decoders=self._decoders,
            leases=self._leases,
            solitude=Solitude(),
            halt=self._halt,
            backoff=Backoff(),
            progress=self._progress,
        )

    def _make_heartbeat(self) -> Heartbeat:
        return Heartbeat(
            worker_id=self.worker_id,
            device=str(self._model.attributor.inference.device),
            engine=self._engine,
            queue=self._queue,
            model=self._model,
            leases=self._leases,
            progress=self._progress,
            halt=self._halt,
        )


def start(settings: Settings, queue: ShardQueue) -> WorkerProcess:
    """Load the model, test it, register it; the process is then found with `current`.

    Waits for the database and the store.

    Raises:
        ModelUnusable: the model is missing or damaged or fails its self-test; the process must not take work.
    """
    global _current
    attributor = loaded_models.load_attributor(
        settings.model, device=settings.device, torch_threads=settings.torch_threads
    )
    engine, store = connect_database(settings), connect_store(settings)
    insist(lambda: register(attributor, engine=engine, store=store))
    _current = WorkerProcess(settings, attributor, engine=engine, store=store, queue=queue)
    return _current


def current() -> WorkerProcess:
    """The process that `start` made; a task runs in no other."""
    if _current is None:
        raise RuntimeError("no worker process was started here: run celery's `worker` command")
    return _current


def _executor(settings: Settings, attributor: "Attributor") -> AttributionExecutor:
    return AttributionExecutor(
        attributor,
        max_batch_images=settings.max_batch_images,
        max_attempts=settings.max_attempts,
        is_out_of_memory=is_out_of_memory,
        free_memory=free_device_memory,
    )
