"""The whole story on the real servers: unseen, discovered, named, attributed, undone; and what must not change.

The attributor's embeddings are synthetic; density, head, gates, verdicts, queue, database and store are the real ones.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, delete, select, update

from leaktrace.objects import S3ObjectStore
from leaktrace.queue import ShardQueue
from leaktrace.records.candidates import list_candidates
from leaktrace.records.database import transaction
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.enrolments import (
    Change,
    enrol_batch,
    enrol_candidate,
    list_enrolments,
    merge_generators,
    split_generator,
    undo_enrolment,
)
from leaktrace.records.labels import NewLabel, add_label
from leaktrace.records.models import Attribution, Item
from leaktrace.records.open_set_models import EnrolledImage, Enrolment
from leaktrace.records.quarantine import QuarantineRules, count_held
from leaktrace.records.rollback import roll_back
from leaktrace.science.discovery import DiscoveryRules
from leaktrace.science.gates import GateRules
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions
from tests.synthetic import CLASSES, SyntheticAttributor, picture_of
from worker.bench import Bench
from worker.discovery import Discoverer
from worker.enrolment import Enroller
from worker.process import WorkerProcess

NO_DELAY = QuarantineRules(age_delay=timedelta(0))


@dataclass
class Story:
    """A tenant, a model of its own, a worker, and what they do."""

    attributor: SyntheticAttributor
    worker: WorkerProcess
    submissions: Submissions
    discoverer: Discoverer
    enroller: Enroller
    seeds: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    @property
    def engine(self) -> Engine:
        return self.submissions.engine

    @property
    def change(self) -> Change:
        tenant_id = self.submissions.tenant_id
        return Change(tenant_id, self.attributor.version, CLASSES, actor="key:test", reason="a test")

    def submit(self, **counts: int) -> UUID:
        """A batch of so many new images of each generator, attributed."""
        names = [name for name, count in counts.items() for _ in range(count)]
        files = {
            f"{name}-{seed}": picture_of(name, seed) for name, seed in zip(names, self.seeds, strict=False)
        }
        return self.attribute(files)

    def attribute(self, files: dict[str, bytes]) -> UUID:
        batch_id, shard_ids = self.submissions.submit(files, shard_images=64, send=False)
        for shard_id in shard_ids:
            self.worker.attribute_shard(shard_id)
        return batch_id

    def answers(self, batch_id: UUID) -> Counter[tuple[str, str]]:
        """(true generator, answer) -> images."""
        with transaction(self.engine) as session:
            rows = session.execute(
                select(Item.custom_id, Attribution.verdict, Attribution.generator)
                .join(Attribution, Attribution.id == Item.attribution_id)
                .where(Item.batch_id == batch_id)
            ).all()
        return Counter((name.split("-")[0], generator or verdict) for name, verdict, generator in rows)

    def recall(self, batch_id: UUID, generator: str, *, called: str) -> float:
        answers = self.answers(batch_id)
        total = sum(count for (name, _), count in answers.items() if name == generator)
        return answers[(generator, called)] / total

    def decide(self) -> list[Enrolment]:
        self.enroller.run(self.attributor)  # type: ignore[arg-type]
        with transaction(self.engine) as session:
            return list_enrolments(session, self.submissions.tenant_id)

    def enrol(self, generator: str, name: str, *, count: int = 60) -> Enrolment:
        batch_id = self.submit(**{generator: count})
        with transaction(self.engine) as session:
            enrol_batch(session, self.change, name=name, batch_id=batch_id)
        return self.decide()[0]


@pytest.fixture
def story(
    make_worker: MakeWorker,
    engine: Engine,
    store: S3ObjectStore,
    queue: ShardQueue,
    request: pytest.FixtureRequest,
) -> Story:
    attributor = SyntheticAttributor(request.node.name.replace("_", "-"))
    return Story(
        attributor=attributor,
        worker=make_worker(attributor),
        submissions=Submissions(engine, store, queue, tenant=attributor.version),
        discoverer=Discoverer(
            engine=engine, store=store, quarantine=NO_DELAY, rules=DiscoveryRules(resamplings=4)
        ),
        enroller=Enroller(engine=engine, store=store, rules=GateRules()),
    )


def test_stranger_is_found_named_and_attributed(story: Story) -> None:
    """Unseen, discovered as one group, named by a person, attributed; rolled back, unseen again."""
    first = story.submit(gamma=60, alpha=20, real=20)
    known_before = {key: count for key, count in story.answers(first).items() if key[0] != "gamma"}
    assert story.recall(first, "gamma", called="unseen") == 1
    story.discoverer.run(story.attributor)  # type: ignore[arg-type]
    with transaction(story.engine) as session:
        (candidate,) = list_candidates(session, story.submissions.tenant_id)
        enrol_candidate(session, story.change, name="gamma-1", candidate_id=candidate.id)
    (enrolment,) = story.decide()
    assert (enrolment.state, candidate.size >= 55) == ("active", True)
    second = story.submit(gamma=40, alpha=20, beta=20, real=20)
    assert story.recall(second, "gamma", called="gamma-1") >= 0.9
    again = story.attribute({name: _bytes_of(name) for name in _names(story, first)})
    known_after = {key: count for key, count in story.answers(again).items() if key[0] != "gamma"}
    assert known_after == known_before
    with transaction(story.engine) as session:
        tenant_id, version = story.submissions.tenant_id, story.attributor.version
        roll_back(session, version, tenant_id=tenant_id, actor="cli", reason="a test")
    third = story.attribute({name: _bytes_of(name) for name in _names(story, first)})
    assert story.answers(third) == story.answers(first)


def _names(story: Story, batch_id: UUID) -> list[str]:
    return list(story.submissions.items(batch_id))


def _bytes_of(name: str) -> bytes:
    generator, seed = name.split("-")
    return picture_of(generator, int(seed))


def test_enrolled_class_is_the_tenants_own(
    story: Story, engine: Engine, store: S3ObjectStore, queue: ShardQueue
) -> None:
    assert story.enrol("gamma", "gamma-1").state == "active"
    stranger = Submissions(engine, store, queue, tenant="stranger")
    batch_id, (shard_id,) = stranger.submit({"gamma-9": picture_of("gamma", 9_999)}, send=False)
    story.worker.attribute_shard(shard_id)
    assert story.answers(batch_id) == {("gamma", "unseen"): 1}


def test_enrolled_generator_is_no_candidate(story: Story) -> None:
    """Its images that were held before it had a name lie beside what the tenant's own density knows."""
    assert story.enrol("gamma", "gamma-1").state == "active"
    story.submit(delta=40)
    story.discoverer.run(story.attributor)  # type: ignore[arg-type]
    with transaction(story.engine) as session:
        (candidate,) = list_candidates(session, story.submissions.tenant_id)
        held = count_held(session, story.submissions.tenant_id)
    assert 35 <= candidate.size <= 40
    assert held >= 35 + 55


def test_disguised_class_is_refused_with_reason(story: Story) -> None:
    enrolment = story.enrol("alpha", "not-alpha")
    assert enrolment.state == "refused"
    assert "held-out images of not-alpha are attributed to it" in (enrolment.outcome or "")
    assert story.recall(story.submit(alpha=20), "alpha", called="not-alpha") == 0


def test_too_few_examples_are_refused(story: Story) -> None:
    enrolment = story.enrol("gamma", "gamma-1", count=30)
    assert (enrolment.state, "30 examples are too few" in (enrolment.outcome or "")) == ("refused", True)


def test_undo_takes_it_back(story: Story) -> None:
    story.enrol("gamma", "gamma-1")
    with transaction(story.engine) as session:
        undo_enrolment(session, story.change, name="gamma-1")
    assert [one.state for one in story.decide()] == ["undone"]
    assert story.recall(story.submit(gamma=10), "gamma", called="unseen") == 1


def lose_examples(story: Story, enrolment: Enrolment) -> None:
    """The tenant's density is to be made again, and cannot be."""
    with transaction(story.engine) as session:
        session.execute(delete(EnrolledImage).where(EnrolledImage.enrolment_id == enrolment.id))
        own = DensityVersion.tenant_id == story.submissions.tenant_id
        session.execute(update(DensityVersion).where(own).values(state="retired"))


def test_tenant_without_examples_is_left_alone(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_examples(story, story.enrol("gamma", "gamma-1"))
    tries: list[int] = []
    build = Bench.build
    monkeypatch.setattr(Bench, "build", lambda *given, **rules: (tries.append(1), build(*given, **rules))[1])
    story.decide()
    story.decide()
    assert len(tries) == 1
    with transaction(story.engine) as session:
        undo_enrolment(session, story.change, name="gamma-1")
    assert [one.state for one in story.decide()] == ["undone"]


def test_deleted_examples_hold_up_nobody(
    story: Story, engine: Engine, store: S3ObjectStore, queue: ShardQueue
) -> None:
    lose_examples(story, story.enrol("gamma", "gamma-1"))
    other = replace(story, submissions=Submissions(engine, store, queue, tenant="another"))
    assert other.enrol("delta", "delta-1").state == "active"


def test_merged_generators_bear_one_name(story: Story) -> None:
    assert {story.enrol("gamma", "g").state, story.enrol("delta", "d").state} == {"active"}
    with transaction(story.engine) as session:
        merge_generators(session, story.change, name="d", into="g")
    states = [(one.name, one.state) for one in story.decide()]
    assert states == [("g", "active"), ("d", "undone"), ("g", "undone")]
    batch_id = story.submit(gamma=20, delta=20)
    assert story.recall(batch_id, "gamma", called="g") >= 0.9
    assert story.recall(batch_id, "delta", called="g") >= 0.9


def test_split_generators_bear_two_names(story: Story) -> None:
    mixed = story.submit(gamma=60, delta=60)
    with transaction(story.engine) as session:
        enrol_batch(session, story.change, name="both", batch_id=mixed)
    assert story.decide()[0].state == "active"
    _split(story, _image_ids(story, mixed, first="d"))
    batch_id = story.submit(gamma=20, delta=20)
    assert story.recall(batch_id, "gamma", called="both") >= 0.9
    assert story.recall(batch_id, "delta", called="delta-1") >= 0.9


def test_misnamed_images_change_once_said(story: Story) -> None:
    """Images that one class took by mistake keep a new one out until a person says that it did not make them."""
    mixed = story.submit(gamma=60, delta=60)
    with transaction(story.engine) as session:
        enrol_batch(session, story.change, name="both", batch_id=mixed)
    assert story.decide()[0].state == "active"
    moved = _image_ids(story, mixed, first="d")
    misnamed = story.submit(delta=20)
    assert story.recall(misnamed, "delta", called="both") >= 0.9
    refused = _split(story, moved)
    assert {one.state for one in refused} == {"refused"}
    advice = "to both or delta-1: .* say so of each .*leaktrace label IMAGE correct"
    assert re.search(advice, refused[0].outcome or "")
    with transaction(story.engine) as session:
        for image_id in _image_ids(story, misnamed, first="d"):
            said = NewLabel("correct", "another one made it")
            add_label(
                session, story.submissions.tenant_id, image_id=image_id, said=said, actor="operator:eve"
            )
    assert {one.state for one in _split(story, moved)} == {"active"}


def _image_ids(story: Story, batch_id: UUID, *, first: str) -> list[UUID]:
    items = story.submissions.items(batch_id).items()
    return [item.image_id for name, item in items if name[0] == first and item.image_id is not None]


def _split(story: Story, moved: list[UUID]) -> list[Enrolment]:
    with transaction(story.engine) as session:
        split_generator(session, story.change, name="both", new_name="delta-1", image_ids=moved)
    return story.decide()[:2]


def test_known_p_values_do_not_move(story: Story) -> None:
    probe = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    before = story.attributor.density.p_values(probe)
    story.enrol("gamma", "gamma-1")
    story.submit(gamma=1)
    assert np.array_equal(story.attributor.density.p_values(probe), before)
