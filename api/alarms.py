"""Alarms: what a person should look at now, each in words. They are found anew at each look and kept nowhere."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from api.dependencies import Services
from api.health import run_checks
from api.status_schemas import Alarm
from leaktrace.records.database import transaction
from leaktrace.records.drift import latest_findings
from leaktrace.records.traffic import Minute
from leaktrace.records.usage import find_quota
from leaktrace.records.webhooks import list_troubled_webhooks

CHECK_WORDS = {
    "database": "The database does not answer",
    "broker": "The queue does not answer; images wait until it is back",
    "store": "The object store does not answer",
    "workers": "Nothing is attributed",
    "density": "The density needs to be looked at",
}
FAILING_SHARE = 0.05
FEWEST_IMAGES = 20  # of which a share is worth an alarm
USED_SHARE = 0.9


def find_alarms(services: Services, tenant_id: UUID | None, *, minutes: Sequence[Minute]) -> list[Alarm]:
    """The alarms of a tenant, or (None) of all; the gravest first."""
    found = [*_checks(services), *_failing(minutes), *_backlog(services)]
    with transaction(services.engine) as session:
        found += [*_webhooks(session, tenant_id), *_drift(session)]
        if tenant_id is not None:
            found += _quota(session, tenant_id, default_limit=services.settings.daily_image_quota)
    return sorted(found, key=lambda alarm: alarm.level != "bad")


def _checks(services: Services) -> Iterator[Alarm]:
    for name, check in run_checks(services).items():
        if not check.ok:
            yield Alarm(name=name, level="bad", detail=f"{CHECK_WORDS[name]}: {check.detail}.")


def _failing(minutes: Sequence[Minute]) -> Iterator[Alarm]:
    failed = sum(minute.failed for minute in minutes)
    images = failed + sum(minute.attributed for minute in minutes)
    if images >= FEWEST_IMAGES and failed > FAILING_SHARE * images:
        share = f"{failed:,} of {images:,} images failed in the last hour ({failed / images:.0%})"
        yield Alarm(name="failures", level="warn", detail=f"{share}; the codes below say why.")


def _backlog(services: Services) -> Iterator[Alarm]:
    waiting, most = services.backlog.images(), services.settings.max_backlog_images
    if waiting > USED_SHARE * most:
        detail = f"{waiting:,} images wait; new batches are refused beyond {most:,}."
        yield Alarm(name="backlog", level="bad" if waiting > most else "warn", detail=detail)


def _webhooks(session: Session, tenant_id: UUID | None) -> Iterator[Alarm]:
    for endpoint in list_troubled_webhooks(session, tenant_id):
        if endpoint.disabled_at is not None:
            detail = f"Nothing is sent to the webhook {endpoint.url} any more: {endpoint.disabled_reason}."
        else:
            detail = (
                f"The webhook {endpoint.url} has failed since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC."
            )
        yield Alarm(name="webhook", level="warn", detail=detail)


def _drift(session: Session) -> Iterator[Alarm]:
    """What the newest look at drift raises; it counts images of all tenants."""
    for finding in latest_findings(session):
        if finding.alarm:
            yield Alarm(
                name="drift", level="warn", detail=f"Images do not look as they did: {finding.reason}."
            )


def _quota(session: Session, tenant_id: UUID, *, default_limit: int) -> Iterator[Alarm]:
    quota = find_quota(session, tenant_id, default_limit=default_limit)
    if quota.used >= USED_SHARE * quota.limit:
        detail = f"{quota.used:,} of today's {quota.limit:,} images are used up."
        yield Alarm(name="quota", level="bad" if quota.remaining == 0 else "warn", detail=detail)
