"""Looking for drift on the real servers: what is found, who is told, and what it may change."""

from datetime import UTC, datetime, timedelta
from random import getrandbits
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, func, insert, select, update

from leaktrace.objects import S3ObjectStore
from leaktrace.records.base import first_id_at
from leaktrace.records.database import transaction
from leaktrace.records.drift import find_alarms, golden_drifts, latest_run, list_alarms
from leaktrace.records.drift_models import DriftRun
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.models import Attribution, Batch, Image, Item
from leaktrace.records.webhook_models import WebhookEndpoint, WebhookEvent
from tests.synthetic import SyntheticAttributor, embeddings_of, gates_like
from worker.drift import DriftLook, DriftWindows
from worker.registration import register

NOW = datetime.now(UTC)


class Traffic:
    """A model of its own, and images as its workers would have answered them."""

    def __init__(self, engine: Engine, store: S3ObjectStore, name: str) -> None:
        self.engine, self.store = engine, store
        self.attributor = SyntheticAttributor(name)
        register(self.attributor, engine=engine, store=store)  # type: ignore[arg-type]
        self._made = 0

    def add(self, generator: str, *, count: int, hours_ago: float, tenant: str, batch: bool = False) -> UUID:
        """Answered images; with `batch` they are items of one, in a folder of the generator."""
        self._made += 1
        start = first_id_at(NOW - timedelta(hours=hours_ago)).int + (getrandbits(40) << 20)
        embeddings = embeddings_of(generator, 1000 + self._made, count=count)
        with transaction(self.engine) as session:
            tenant_id = ensure_tenant(session, f"{self.attributor.version}-{tenant}")
            ids = [UUID(int=start + row) for row in range(count)]
            facts = {"tenant_id": tenant_id, "size_bytes": 1}
            session.execute(insert(Image), [{"id": each, "sha256": each.hex * 2, **facts} for each in ids])
            answer = {
                "tenant_id": tenant_id,
                "model_version": self.attributor.version,
                "density_version": self.attributor.density_version,
                "verdict": "unseen",
                "p_value": 0.02,
                "smallest_p": 0.02,
                "alpha": 0.05,
                "reason": "a test",
                **{name: {} for name in ("probabilities", "p_values", "explanation", "timings")},
            }
            rows = [
                {**answer, "id": each, "image_id": each, "embedding": embedding, "gate": gate}
                for each, embedding, gate in zip(ids, embeddings, gates_like(embeddings), strict=True)
            ]
            session.execute(insert(Attribution), rows)
            if batch:
                made = Batch(id=ids[0], tenant_id=tenant_id, expires_at=NOW + timedelta(days=1))
                session.add(made)
                session.flush()
                item = {"tenant_id": tenant_id, "batch_id": ids[0], "state": "succeeded"}
                items = [
                    {"custom_id": f"{generator}/{each.hex}", "image_id": each, "attribution_id": each, **item}
                    for each in ids
                ]
                session.execute(insert(Item), items)
        return ids[0]

    def look(self, windows: DriftWindows | None = None) -> list[tuple[str, str]]:
        """Look once; the alarms that stand then."""
        look = DriftLook(engine=self.engine, store=self.store, windows=windows or DriftWindows())
        assert look.run(self.attributor)  # type: ignore[arg-type]
        with transaction(self.engine) as session:
            alarms = find_alarms(session, latest_run(session, self.attributor.version))
        return [(alarm.kind, alarm.subject) for alarm in alarms]

    def details(self) -> dict[str, dict[str, int]]:
        with transaction(self.engine) as session:
            run = latest_run(session, self.attributor.version)
            assert run is not None
            return run.details


@pytest.fixture
def traffic(engine: Engine, store: S3ObjectStore, request: pytest.FixtureRequest) -> Traffic:
    return Traffic(engine, store, request.node.name.replace("_", "-"))


def test_steady_traffic_is_quiet(traffic: Traffic) -> None:
    for hours in (2, 30):
        for name in ("alpha", "beta"):
            traffic.add(name, count=60, hours_ago=hours, tenant="a")
    assert traffic.look() == []
    assert traffic.details()["recent"] == {"images": 120, "tenants": 1}


def test_new_generator_is_told_once(traffic: Traffic, engine: Engine) -> None:
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, "listener")
        facts = {
            "url": "https://example.com",
            "description": "",
            "events": ["drift.alarm"],
            "secret": "whsec_",
        }
        session.add(WebhookEndpoint(tenant_id=tenant_id, **facts))
    traffic.add("alpha", count=100, hours_ago=30, tenant="a")
    traffic.add("alpha", count=60, hours_ago=2, tenant="a")
    traffic.add("gamma", count=60, hours_ago=2, tenant="b")
    assert traffic.look() == [("embedding", ""), ("rate", "alpha"), ("rate", "unseen")]
    assert len(traffic.look()) == 3
    with transaction(engine) as session:
        told = session.scalars(select(WebhookEvent).where(WebhookEvent.tenant_id == tenant_id)).all()
        listed = list_alarms(session, traffic.attributor.version, limit=1)
    assert sorted(event.data["kind"] for event in told) == ["embedding", "rate", "rate"]
    assert len(listed) == 3


def test_flood_of_one_tenant_is_capped(traffic: Traffic) -> None:
    for hours in (2, 30):
        for tenant in ("a", "b", "c", "d"):
            traffic.add("alpha", count=100, hours_ago=hours, tenant=tenant)
    traffic.add("gamma", count=900, hours_ago=1, tenant="attacker")
    windows = DriftWindows(per_tenant=10)
    traffic.look(windows)
    assert traffic.details()["recent"] == {"images": 50, "tenants": 5}


def test_golden_images_that_moved_are_a_cause_to_refit(traffic: Traffic, engine: Engine) -> None:
    batch_id = traffic.add("alpha", count=60, hours_ago=2, tenant="golden", batch=True)
    windows = DriftWindows(golden_batch=batch_id)
    version = traffic.attributor.version
    density = traffic.attributor.density_version
    assert traffic.look(windows) == []
    moved = np.asarray(embeddings_of("alpha", 5, count=1)[0] * 1.2, dtype=np.float32)
    with transaction(engine) as session:
        session.execute(
            update(Attribution).where(Attribution.model_version == version).values(embedding=moved)
        )
    drifts = []
    for _ in range(2):
        assert ("golden", "alpha") in traffic.look(windows)
        with transaction(engine) as session:
            drifts.append(golden_drifts(session, version, density_version=density))
    assert drifts == [False, True]


def test_model_without_images_is_looked_at(traffic: Traffic, engine: Engine) -> None:
    assert traffic.look() == []
    with transaction(engine) as session:
        runs = select(func.count()).select_from(DriftRun)
        found = session.scalars(runs.where(DriftRun.model_version == traffic.attributor.version)).one()
    assert found == 1
