"""What goes for its age, and what stays whatever its age."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select

from leaktrace.objects import S3ObjectStore
from leaktrace.queue import ShardQueue
from leaktrace.records.database import transaction
from leaktrace.records.drift_models import DriftRun
from leaktrace.records.enrolments import Change, enrol_batch
from leaktrace.records.models import Attribution, Batch, Item
from leaktrace.records.nearest import find_nearest
from leaktrace.records.open_set_models import QuarantinedImage
from leaktrace.records.quarantine import QuarantineRules
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions
from tests.synthetic import CLASSES, SyntheticAttributor, picture_of
from worker.expiry import expire
from worker.process import WorkerProcess
from worker.quarantine import fill_quarantine
from worker.retention import RetentionRules

AT_ONCE = timedelta(0)


class Kept:
    """A tenant of its own with answered batches."""

    def __init__(self, submissions: Submissions, worker: WorkerProcess, version: str) -> None:
        self.submissions, self.worker, self.version = submissions, worker, version
        self.seed = 90_000

    def submit(self, **counts: int) -> UUID:
        names = [name for name, number in counts.items() for _ in range(number)]
        self.seed += 100
        files = {f"{name}-{row}": picture_of(name, self.seed + row) for row, name in enumerate(names)}
        batch_id, shards = self.submissions.submit(files, shard_images=64, send=False)
        for shard_id in shards:
            self.worker.attribute_shard(shard_id)
        return batch_id

    def name(self, batch_id: UUID) -> None:
        change = Change(self.submissions.tenant_id, self.version, CLASSES, actor="cli", reason="a test")
        with transaction(self.submissions.engine) as session:
            enrol_batch(session, change, name="gamma-1", batch_id=batch_id)

    def without_embedding(self) -> int:
        statement = select(func.count()).select_from(Attribution)
        with transaction(self.submissions.engine) as session:
            return session.scalars(
                statement.where(Attribution.model_version == self.version, Attribution.embedding.is_(None))
            ).one()


@pytest.fixture
def kept(
    make_worker: MakeWorker,
    engine: Engine,
    store: S3ObjectStore,
    queue: ShardQueue,
    request: pytest.FixtureRequest,
) -> Kept:
    attributor = SyntheticAttributor(request.node.name.replace("_", "-"))
    submissions = Submissions(engine, store, queue, tenant=attributor.version)
    return Kept(submissions, make_worker(attributor), attributor.version)


def test_nothing_goes_unless_asked(kept: Kept, engine: Engine) -> None:
    batch_id = kept.submit(alpha=1)
    expire(engine)
    assert (kept.submissions.state(batch_id), kept.without_embedding()) == ("completed", 0)


def test_old_batches_go_but_examples_stay(kept: Kept, engine: Engine) -> None:
    old, golden, examples = (kept.submit(alpha=1) for _ in range(3))
    kept.name(examples)
    expire(engine, RetentionRules(results=AT_ONCE, kept=(golden,)))
    states = [kept.submissions.state(batch_id) for batch_id in (old, golden, examples)]
    assert states == ["deleting", "completed", "completed"]
    kept.worker.delete_batches()
    with transaction(engine) as session:
        assert session.get(Batch, old) is None


def test_old_embeddings_go_and_answers_stay(kept: Kept, engine: Engine) -> None:
    old, golden = kept.submit(alpha=2), kept.submit(beta=1)
    kept.name(kept.submit(gamma=1))
    expire(engine, RetentionRules(embeddings=AT_ONCE, kept=(golden,)))
    assert kept.without_embedding() == 2
    beta = kept.submissions.items(golden)["beta-0"]
    assert beta.image_id is not None
    with transaction(engine) as session:
        _, near = find_nearest(session, kept.submissions.tenant_id, image_id=beta.image_id, limit=9)
        verdicts = session.scalars(
            select(Attribution.verdict)
            .join(Item, Item.attribution_id == Attribution.id)
            .where(Item.batch_id == old)
        ).all()
    assert (len(near), len(verdicts)) == (1, 2)


def test_old_quarantine_goes_and_does_not_return(kept: Kept, engine: Engine) -> None:
    kept.submit(gamma=3)
    rules = QuarantineRules(lifetime=AT_ONCE)
    assert fill_quarantine(engine, kept.version, rules=QuarantineRules()) == 3
    expire(engine, RetentionRules(quarantine=AT_ONCE))
    with transaction(engine) as session:
        left = select(QuarantinedImage.id).where(QuarantinedImage.model_version == kept.version)
        assert session.scalars(left).all() == []
    assert fill_quarantine(engine, kept.version, rules=rules) == 0


def test_old_looks_at_drift_go(kept: Kept, engine: Engine) -> None:
    with transaction(engine) as session:
        facts = {"model_version": kept.version, "density_version": f"{kept.version}-density-1"}
        session.add(DriftRun(**facts, at=func.now() - timedelta(days=91)))
        session.add(DriftRun(**facts))
    expire(engine)
    with transaction(engine) as session:
        assert len(session.scalars(select(DriftRun).where(DriftRun.model_version == kept.version)).all()) == 1
