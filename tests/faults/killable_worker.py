"""The real worker with another Attributor, started as a process of its own by the fault tests.

celery -A tests.faults.killable_worker:app worker
"""

from leaktrace.science.model_folder import ModelUnusable
from tests.faults.killable_attributor import KillableAttributor
from worker import loaded_models


def load_killable(model: str, **_: object) -> KillableAttributor:
    if model == "broken":
        raise ModelUnusable(model, "golden embeddings differ by 3, more than 0.001")
    return KillableAttributor()


loaded_models.load_attributor = load_killable  # type: ignore[assignment]

from worker.app import app  # noqa: E402 - a worker starts with what is in place by now

__all__ = ["app"]
