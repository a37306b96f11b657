"""Judging again: new attributions beside the old ones, from embeddings or from bytes, and a report of what differs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from leaktrace.objects import S3ObjectStore
from leaktrace.queue import ShardQueue
from leaktrace.records.database import transaction
from leaktrace.records.deletion import accept_deletion
from leaktrace.records.densities import as_checkpoint
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.enrolments import Change, enrol_batch
from leaktrace.records.models import Image
from leaktrace.records.rescore_models import Rescore
from leaktrace.records.rescore_reports import list_changes, summarise_rescore
from leaktrace.records.rescoring import RescoreInProgress, Selection, ask_rescore, save_rescored
from leaktrace.records.results import list_attributions
from leaktrace.science.gates import GateRules
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions
from tests.synthetic import CALIBRATION, CLASSES, SyntheticAttributor, picture_of
from worker.enrolment import Enroller
from worker.loaded_models import read_density
from worker.process import WorkerProcess

STRATUM = "not-jpeg/under-512px"


class Service:
    """A model of its own, a worker, and a tenant that has images judged again."""

    def __init__(self, submissions: Submissions, worker: WorkerProcess, version: str) -> None:
        self.submissions, self.worker, self.version = submissions, worker, version
        self.seed = 50_000

    def submit(self, **counts: int) -> UUID:
        self.seed += 1_000
        names = [name for name, number in counts.items() for _ in range(number)]
        files = {f"{name}-{row}": picture_of(name, self.seed + row) for row, name in enumerate(names)}
        batch_id, shards = self.submissions.submit(files, shard_images=64, send=False)
        for shard_id in shards:
            self.worker.attribute_shard(shard_id)
        return batch_id

    def enrol(self, name: str, batch_id: UUID, *, attributor: SyntheticAttributor) -> None:
        engine, store = self.submissions.engine, self.submissions.store
        change = Change(self.submissions.tenant_id, self.version, CLASSES, actor="cli", reason="a test")
        with transaction(engine) as session:
            enrol_batch(session, change, name=name, batch_id=batch_id)
        Enroller(engine=engine, store=store, rules=GateRules()).run(attributor)  # type: ignore[arg-type]

    def ask(self, selection: Selection) -> UUID:
        with transaction(self.submissions.engine) as session:
            tenant_id = self.submissions.tenant_id
            asked = ask_rescore(session, tenant_id, selection=selection, actor="cli", reason="a test")
            return asked.id

    def rescore(self, selection: Selection) -> Rescore:
        rescore_id = self.ask(selection)
        self.worker.rescore()
        with transaction(self.submissions.engine) as session:
            return session.get_one(Rescore, rescore_id)

    def changes(self, rescore: Rescore) -> list[tuple[str, str, str, int]]:
        with transaction(self.submissions.engine) as session:
            found = summarise_rescore(session, rescore)
        return [(one.before, one.after, one.cause, one.items) for one in found]


@pytest.fixture
def attributor(request: pytest.FixtureRequest) -> SyntheticAttributor:
    return SyntheticAttributor(request.node.name.replace("_", "-"))


@pytest.fixture
def service(
    make_worker: MakeWorker,
    engine: Engine,
    store: S3ObjectStore,
    queue: ShardQueue,
    attributor: SyntheticAttributor,
) -> Service:
    submissions = Submissions(engine, store, queue, tenant=attributor.version)
    return Service(submissions, make_worker(attributor), attributor.version)


def test_enrolled_generator_shows_in_the_report(service: Service, attributor: SyntheticAttributor) -> None:
    first = service.submit(alpha=2, gamma=3)
    service.enrol("gamma-1", service.submit(gamma=60), attributor=attributor)
    before = service.submissions.items(first)
    rescore = service.rescore(Selection(batch_id=first))
    assert rescore.state == "completed"
    assert service.changes(rescore) == [
        ("unseen", "gamma-1", "enrolled", 3),
        ("alpha", "alpha", "density", 2),
    ]
    with transaction(service.submissions.engine) as session:
        listed = list_changes(session, rescore, changed=True, limit=9)
    assert {one.density_after for one in listed} == {rescore.density_version}
    assert all(one.p_before <= 0.05 < (one.p_after or 0) for one in listed)
    after = service.submissions.items(first)
    assert {name: item.attribution_id for name, item in after.items()} == {
        name: item.attribution_id for name, item in before.items()
    }


def test_stratum_goes_with_every_answer(
    service: Service, attributor: SyntheticAttributor, engine: Engine, store: S3ObjectStore
) -> None:
    first = service.submit(alpha=1)
    service.enrol("gamma-1", service.submit(gamma=60), attributor=attributor)
    rescore = service.rescore(Selection(batch_id=first))
    with transaction(engine) as session:
        (item,) = service.submissions.items(first).values()
        before, after = (
            one.calibration
            for one in reversed(
                list_attributions(session, service.submissions.tenant_id, image_id=item.image_id)
            )
        )
        density = read_density(as_checkpoint(session.get_one(DensityVersion, rescore.density_version)), store)
    assert before is not None
    assert after is not None
    by_class = {name: {"images": CALIBRATION, "of": "class"} for name in CLASSES}
    assert before == {"stratum": STRATUM, "classes": by_class}
    assert (after["stratum"], set(after["classes"])) == (STRATUM, {*CLASSES, "gamma-1"})
    assert density.calibration_ is not None
    own = density.calibration_.labels == list(density.classes_).index("gamma-1")
    assert set(density.calibration_.strata[own]) == {STRATUM}


def test_nothing_new_is_made_when_nothing_changed(service: Service) -> None:
    batch_id = service.submit(alpha=2, gamma=1)
    made = service.submissions.attributions()
    rescore = service.rescore(Selection(batch_id=batch_id))
    assert [change[2] for change in service.changes(rescore)] == ["none", "none"]
    assert service.submissions.attributions() == made


def test_images_of_another_model_are_read_again(service: Service, make_worker: MakeWorker) -> None:
    batch_id = service.submit(alpha=2, beta=1)
    newer = SyntheticAttributor(f"{service.version}-2")
    service.worker = make_worker(newer)
    lost = service.submissions.items(batch_id)["beta-2"].image_id
    with transaction(service.submissions.engine) as session:
        session.execute(update(Image).where(Image.id == lost).values(sha256="e" * 64))
    rescore = service.rescore(Selection(batch_id=batch_id))
    assert (rescore.state, rescore.model_version) == ("completed", newer.version)
    assert service.changes(rescore) == [("alpha", "alpha", "model", 2), ("beta", "failed", "failed", 1)]


def test_broken_off_rescore_goes_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    rescore_id = service.ask(Selection(batch_id=service.submit(alpha=3)))
    monkeypatch.setattr("worker.rescoring.IMAGES_A_STEP", 1)
    calls: list[UUID] = []

    def die_at_second(session: Session, asked: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
        calls.append(asked)
        if len(calls) == 2:
            raise RuntimeError("the process died")
        save_rescored(session, asked, rows)

    monkeypatch.setattr("worker.rescoring.save_rescored", die_at_second)
    with pytest.raises(RuntimeError, match="died"):
        service.worker.rescore()
    service.worker.rescore()
    with transaction(service.submissions.engine) as session:
        rescore = session.get_one(Rescore, rescore_id)
    assert (rescore.state, len(calls)) == ("completed", 4)
    assert sum(change[3] for change in service.changes(rescore)) == 3


def test_deleted_batch_takes_its_rescore_along(service: Service) -> None:
    batch_id = service.submit(alpha=1)
    rescore = service.rescore(Selection(batch_id=batch_id))
    with transaction(service.submissions.engine) as session:
        accept_deletion(session, service.submissions.tenant_id, batch_id=batch_id, actor="cli")
    service.worker.delete_batches()
    with transaction(service.submissions.engine) as session:
        assert session.get(Rescore, rescore.id) is None


def test_range_of_time_is_rescored_once_at_a_time(service: Service) -> None:
    service.submit(alpha=1), service.submit(beta=1)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    rescore = service.rescore(Selection(since=hour_ago))
    assert sum(change[3] for change in service.changes(rescore)) == 2
    assert service.changes(service.rescore(Selection(until=hour_ago))) == []
    service.ask(Selection(since=hour_ago))
    with pytest.raises(RescoreInProgress):
        service.ask(Selection(since=hour_ago))
