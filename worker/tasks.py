"""The doors: each takes ids from a message and lets the process do one unit of work. Nothing is decided here.

Every one is safe to run twice, since a message may be delivered twice.
"""

from uuid import UUID

from leaktrace.queue import (
    ATTRIBUTE_SHARD,
    CHALLENGE,
    DELETE_BATCHES,
    DELIVER,
    DISCOVER,
    DRAW_MAPS,
    ENROL,
    EXPIRE_BATCHES,
    REFIT_DENSITY,
    RESCORE,
    SWEEP,
    TIDY_STORE,
    WATCH_DRIFT,
)
from worker.app import app
from worker.process import current


@app.task(name=ATTRIBUTE_SHARD)
def attribute_shard(shard_id: str) -> None:
    """Attribute the images of one shard."""
    current().attribute_shard(UUID(shard_id))


@app.task(name=SWEEP)
def sweep() -> None:
    """Take back what dead workers held and send what the broker lost."""
    current().sweep()


@app.task(name=EXPIRE_BATCHES)
def expire_batches() -> None:
    """End what is out of time."""
    current().expire_batches()


@app.task(name=REFIT_DENSITY)
def refit_density() -> None:
    """Look whether the density needs a refit."""
    current().refit_density()


@app.task(name=DISCOVER)
def discover() -> None:
    """Look for groups among the images that nobody knows."""
    current().discover()


@app.task(name=ENROL)
def enrol() -> None:
    """Decide what people asked for: enrolments, merges, splits, undos."""
    current().enrol()


@app.task(name=DELETE_BATCHES)
def delete_batches() -> None:
    """Carry out the deletions that were accepted."""
    current().delete_batches()


@app.task(name=TIDY_STORE)
def tidy_store() -> None:
    """Delete old objects that no row names."""
    current().tidy_store()


@app.task(name=CHALLENGE)
def challenge() -> None:
    """Attend to the density in shadow, to promotions, and to refits that were asked for."""
    current().challenge()


@app.task(name=DELIVER)
def deliver() -> None:
    """Send the webhooks that are due."""
    current().deliver()


@app.task(name=WATCH_DRIFT)
def watch_drift() -> None:
    """Look whether images still look as they did."""
    current().watch_drift()


@app.task(name=RESCORE)
def rescore() -> None:
    """Go on with what people asked to be judged again."""
    current().rescore()


@app.task(name=DRAW_MAPS)
def draw_maps() -> None:
    """Lay out the embeddings of tenants whose map is due."""
    current().draw_maps()
