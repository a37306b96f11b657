"""Marks differ when what pages show has changed, and only then."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.records import marks
from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Batch, Item


def new_batch(session: Session, *, tenant: str = "marked", state: str = "in_progress") -> Batch:
    batch = Batch(tenant_id=ensure_tenant(session, tenant), expires_at=datetime.now(UTC), state=state)
    session.add(batch)
    session.flush()
    return batch


def add_item(session: Session, batch: Batch) -> None:
    session.add(Item(tenant_id=batch.tenant_id, batch_id=batch.id, custom_id="new"))
    session.flush()


def test_progress_of_an_old_batch_shows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "NEWEST", 1)
    with transaction(engine) as session:
        old, _newer = new_batch(session), new_batch(session, state="completed")
        before = marks.batches_mark(session, old.tenant_id)
        assert marks.batches_mark(session, old.tenant_id) == before
        add_item(session, old)
        assert marks.batches_mark(session, old.tenant_id) != before


def test_other_tenants_do_not_show(engine: Engine) -> None:
    with transaction(engine) as session:
        own, foreign = new_batch(session), new_batch(session, tenant="unmarked")
        before = marks.batches_mark(session, own.tenant_id)
        add_item(session, foreign)
        assert marks.batches_mark(session, own.tenant_id) == before
