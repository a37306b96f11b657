"""What beat sends, and how often. Every job guards itself with an advisory lock, so two beats do no harm.

A message that nobody took before the next one is due expires: jobs do not pile up while no worker runs.
"""

from typing import Any

from leaktrace.queue import (
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
from leaktrace.settings import Settings


def periodic_jobs(settings: Settings) -> dict[str, dict[str, Any]]:
    """Beat's schedule, as Celery's `beat_schedule` wants it."""
    intervals = {
        SWEEP: settings.sweep_interval_seconds,
        EXPIRE_BATCHES: settings.expiry_interval_seconds,
        REFIT_DENSITY: settings.refit_interval_seconds,
        RESCORE: settings.rescore_interval_seconds,
        DISCOVER: settings.discovery_interval_seconds,
        ENROL: settings.enrolment_interval_seconds,
        DELETE_BATCHES: settings.deletion_interval_seconds,
        TIDY_STORE: settings.tidy_interval_seconds,
        CHALLENGE: settings.challenge_interval_seconds,
        DELIVER: settings.delivery_interval_seconds,
        WATCH_DRIFT: settings.drift_interval_seconds,
        DRAW_MAPS: settings.map_interval_seconds,
    }
    return {
        task: {"task": task, "schedule": seconds, "options": {"expires": seconds}}
        for task, seconds in intervals.items()
    }
