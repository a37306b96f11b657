"""The model of this process: loaded once, tested, and given a new density whole whenever one was published.

torch is imported here and nowhere else in the worker, and only when a model is loaded, so that beat stays small. The
density is swapped on the executor's thread, between two batches, so that no answer mixes two versions.
"""

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from leaktrace.errors import Unavailable
from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore
from leaktrace.records.densities import DensityCheckpoint
from leaktrace.science.density import DensityUnusable, OpenSetDensity
from leaktrace.science.memory import keep_freed_memory
from worker.executor import AttributionExecutor

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.judging import Judge

# Tenants' own densities that a worker keeps in memory; the one used longest ago goes first.
JUDGES_KEPT = 32
# What torch's CPU allocator says, as a plain RuntimeError, when memory is short.
CPU_MEMORY_WORDS = ("can't allocate memory", "not enough memory")

log = get_logger(__name__)


def load_attributor(model: str, *, device: str, torch_threads: int | None) -> "Attributor":
    """Load a model and let it pass its self-test.

    Raises:
        ModelUnusable: the weights are missing or damaged, or do not give the golden answers.
    """
    import torch

    from leaktrace.science.attributor import Attributor

    keep_freed_memory()
    if torch_threads is not None:
        torch.set_num_threads(torch_threads)
    attributor = Attributor.load(model, device=device)
    attributor.self_test()
    return attributor


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller batch may do: the device's memory, or the machine's, was too small."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_MEMORY_WORDS)


def free_device_memory() -> None:
    """Give the device's cached blocks back, so that the smaller batch does not meet their fragments."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class LoadedModel:
    """An attributor with its executor; `refresh_density` and `judge_of` may be called from any thread."""

    def __init__(self, attributor: "Attributor", executor: AttributionExecutor) -> None:
        self.attributor = attributor
        self.executor = executor
        self.version = attributor.version
        self._refreshing = threading.Lock()
        self._judges: OrderedDict[str, Judge] = OrderedDict()

    @property
    def density_version(self) -> str:
        """The density in use now."""
        return self.attributor.density_version

    def refresh_density(self, active: DensityCheckpoint | None, store: ObjectStore) -> None:
        """Compare with the active density and swap when it is another one.

        A density that cannot be had leaves the one in use where it is: answers name the version that made them.
        """
        with self._refreshing:
            if active is None or active.version == self.density_version:
                return
            try:
                self._swap(active, store)
            except (Unavailable, ValueError) as error:
                log.warning("density_not_refreshed", error=str(error))

    def judge_of(self, own: DensityCheckpoint | None, store: ObjectStore) -> "Judge | None":
        """The judge by a tenant's own density; None when it has none, or when that cannot be had.

        Everybody's density answers then, and the answers say so by its version.
        """
        if own is None:
            return None
        with self._refreshing:
            try:
                if own.version not in self._judges:
                    density = read_density(own, store)
                    self._judges[own.version] = self.attributor.make_judge(density, version=own.version)
                    log.info("own_density_loaded", density_version=own.version)
            except (Unavailable, ValueError) as error:
                log.warning("density_not_refreshed", error=str(error))
                return None
            self._judges.move_to_end(own.version)
            while len(self._judges) > JUDGES_KEPT:
                self._judges.popitem(last=False)
            return self._judges[own.version]

    def _swap(self, checkpoint: DensityCheckpoint, store: ObjectStore) -> None:
        density = read_density(checkpoint, store)
        version = checkpoint.version
        self.executor.between_batches(lambda: self.attributor.use_density(density, version=version)).result()
        log.info("density_swapped", density_version=version)


def read_density(checkpoint: DensityCheckpoint, store: ObjectStore) -> OpenSetDensity:
    """A published density, checked.

    Raises:
        ObjectMissing, ObjectStoreUnavailable: it cannot be had.
        DensityUnusable: it is not what was published.
    """
    data = store.get(checkpoint.object_key)
    found = hashlib.sha256(data).hexdigest()
    if found != checkpoint.sha256:
        raise DensityUnusable(
            f"{checkpoint.object_key} has SHA-256 {found}, the record says {checkpoint.sha256}"
        )
    return OpenSetDensity.from_bytes(data)
