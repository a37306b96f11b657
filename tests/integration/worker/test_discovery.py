"""From unseen attributions to candidates, on the real servers: each tenant for itself, bounded, and found again."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, select, update

from leaktrace.objects import S3ObjectStore, image_key, thumbnail_key
from leaktrace.records.candidates import list_candidates
from leaktrace.records.database import transaction
from leaktrace.records.discovery_runs import last_run
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.labels import NewLabel, add_label
from leaktrace.records.locks import DISCOVERY_LOCK, try_lock
from leaktrace.records.models import Image
from leaktrace.records.open_set_models import Candidate, QuarantinedImage
from leaktrace.records.quarantine import UNNAMED, QuarantineRules, read_mature
from leaktrace.science.discovery import DiscoveryRules
from tests.attributors import FakeAttributor
from tests.submissions import picture
from tests.unseen import add_unseen, blob
from worker.discovery import Discoverer
from worker.registration import register

RULES = QuarantineRules(per_tenant=500, per_batch=400, per_day=400, age_delay=timedelta(0))


class Model(FakeAttributor):
    """A model of its own for every test, so that their quarantines do not mix."""

    def __init__(self, name: str) -> None:
        self.version = name
        super().__init__()
        self.density_version = f"{name}-density-1"


@pytest.fixture
def model(engine: Engine, store: S3ObjectStore, request: pytest.FixtureRequest) -> Model:
    model = Model(request.node.name.replace("_", "-"))
    register(model, engine=engine, store=store)  # type: ignore[arg-type]
    return model


@pytest.fixture
def discoverer(engine: Engine, store: S3ObjectStore) -> Discoverer:
    return Discoverer(engine=engine, store=store, quarantine=RULES, rules=DiscoveryRules(resamplings=4))


def candidates(engine: Engine, tenant: str) -> list[Candidate]:
    with transaction(engine) as session:
        return list_candidates(session, ensure_tenant(session, tenant))


def states(engine: Engine, tenant: str) -> Counter[str]:
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, tenant)
        return Counter(
            session.scalars(select(QuarantinedImage.state).where(QuarantinedImage.tenant_id == tenant_id))
        )


def test_group_becomes_candidate(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    add_unseen(engine, model, blob(1, axis=0, count=60), tenant="finder")
    assert discoverer.run(model) is True  # type: ignore[arg-type]
    (candidate,) = candidates(engine, "finder")
    assert (candidate.size >= 55, candidate.runs, candidate.sources["batches"]) == (True, 1, 1)
    with transaction(engine) as session:
        run = last_run(session, ensure_tenant(session, "finder"), model_version=model.version)
        assert run is not None
        assert (run.images, run.candidates) == (60, 1)


def test_candidate_keeps_its_id(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    add_unseen(engine, model, blob(1, axis=0, count=40), tenant="grower")
    discoverer.run(model)  # type: ignore[arg-type]
    (first,) = candidates(engine, "grower")
    add_unseen(engine, model, blob(2, axis=0, count=30), tenant="grower")
    discoverer.run(model)  # type: ignore[arg-type]
    (second,) = candidates(engine, "grower")
    assert (second.id, second.runs) == (first.id, 2)
    assert second.size - second.previous_size >= 25


def test_open_images_are_held_too(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    """A group of a new generator is mostly left open by the model, and found all the same."""
    add_unseen(engine, model, blob(1, axis=0, count=10), tenant="opener")
    add_unseen(engine, model, blob(2, axis=0, count=50), tenant="opener", verdict="inconclusive")
    add_unseen(engine, model, blob(3, axis=0, count=5), tenant="opener", verdict="generator", generator="a")
    discoverer.run(model)  # type: ignore[arg-type]
    (candidate,) = candidates(engine, "opener")
    assert (candidate.size >= 55, states(engine, "opener")) == (True, {"held": 60})


def test_tenants_are_kept_apart(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    add_unseen(engine, model, blob(1, axis=0, count=10), tenant="few-a")
    add_unseen(engine, model, blob(2, axis=0, count=10), tenant="few-b")
    discoverer.run(model)  # type: ignore[arg-type]
    assert candidates(engine, "few-a") == candidates(engine, "few-b") == []


def test_young_images_wait(engine: Engine, store: S3ObjectStore, model: Model) -> None:
    patient = Discoverer(
        engine=engine,
        store=store,
        quarantine=QuarantineRules(age_delay=timedelta(hours=1)),
        rules=DiscoveryRules(),
    )
    add_unseen(engine, model, blob(1, axis=0, count=40), tenant="young")
    patient.run(model)  # type: ignore[arg-type]
    assert (candidates(engine, "young"), states(engine, "young")) == ([], {"held": 40})


def test_medoids_get_thumbnails(
    engine: Engine, store: S3ObjectStore, model: Model, discoverer: Discoverer
) -> None:
    image_ids = add_unseen(engine, model, blob(1, axis=0, count=30), tenant="drawn")
    _give_pixels(engine, store, image_ids)
    discoverer.run(model)  # type: ignore[arg-type]
    (candidate,) = candidates(engine, "drawn")
    with transaction(engine) as session:
        medoid = session.get_one(Image, UUID(candidate.medoids[0]))
    assert store.get(thumbnail_key(medoid.tenant_id, medoid.sha256))[:2] == b"\xff\xd8"


def _give_pixels(engine: Engine, store: S3ObjectStore, image_ids: list[UUID]) -> None:
    with transaction(engine) as session:
        images = session.scalars(select(Image).where(Image.id.in_(image_ids))).all()
    for image in images:
        store.put(image_key(image.tenant_id, image.sha256), picture(3), content_type="image/png")


def test_flood_reaches_nobody_else(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    """10,000 crafted and duplicate images of one tenant leave a victim's candidates and every p-value alone."""
    add_unseen(engine, model, blob(1, axis=0, count=50), tenant="victim")
    discoverer.run(model)  # type: ignore[arg-type]
    (before,) = candidates(engine, "victim")
    probe = np.vstack([blob(9, axis=axis, count=5) for axis in range(3)])
    p_values = model.density.p_values(probe)
    random = np.random.default_rng(0)
    crafted = blob(7, axis=0, count=10_000, spread=0.2)
    hashes = random.integers(-(2**63), 2**63, size=10_000).tolist()
    hashes[5_000:] = [hashes[0]] * 5_000
    add_unseen(engine, model, crafted, tenant="attacker", hashes=hashes)
    discoverer.run(model)  # type: ignore[arg-type]
    (after,) = candidates(engine, "victim")
    assert states(engine, "attacker") == {"held": 400, "near": 5_000, "over_cap": 4_600}
    assert (after.id, after.size, after.medoids) == (before.id, before.size, before.medoids)
    assert np.array_equal(model.density.p_values(probe), p_values)


def test_newest_images_are_looked_at(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    for count in (20, 5):
        newest = add_unseen(engine, model, blob(count, axis=0, count=count), tenant="full")
        discoverer.run(model)  # type: ignore[arg-type]
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, "full")
        looked_at = read_mature(session, tenant_id, model_version=model.version, limit=5)
    assert {one.image_id for one in looked_at} == set(newest)


def test_deleted_image_leaves_quarantine(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    image_ids = add_unseen(engine, model, blob(1, axis=0, count=30), tenant="leaver")
    discoverer.run(model)  # type: ignore[arg-type]
    with transaction(engine) as session:
        for image in session.scalars(select(Image).where(Image.id.in_(image_ids[:10]))):
            session.delete(image)
    assert states(engine, "leaver") == {"held": 20}


def test_one_discovery_at_a_time(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    with transaction(engine) as other:
        assert try_lock(other, DISCOVERY_LOCK)
        assert discoverer.run(model) is False  # type: ignore[arg-type]


def test_dismissed_candidate_stays_closed(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    add_unseen(engine, model, blob(1, axis=0, count=30), tenant="closer")
    discoverer.run(model)  # type: ignore[arg-type]
    (candidate,) = candidates(engine, "closer")
    with transaction(engine) as session:
        members = QuarantinedImage.candidate_id == candidate.id
        session.execute(update(QuarantinedImage).where(members).values(state="dismissed"))
        session.get_one(Candidate, candidate.id).state = "dismissed"
    discoverer.run(model)  # type: ignore[arg-type]
    assert candidates(engine, "closer") == []


def say(engine: Engine, tenant: str, image_id: UUID, said: NewLabel) -> UUID:
    """Label an image, and give the label's id."""
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, tenant)
        return add_label(session, tenant_id, image_id=image_id, said=said, actor="operator:eve").id


def held_images(engine: Engine, tenant: str) -> list[UUID]:
    with transaction(engine) as session:
        held = select(QuarantinedImage.image_id).where(
            QuarantinedImage.tenant_id == ensure_tenant(session, tenant), QuarantinedImage.state == "held"
        )
        return list(session.scalars(held.order_by(QuarantinedImage.id)))


def test_named_images_leave_quarantine(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    added = [
        add_unseen(engine, model, blob(1, axis=0, count=2), tenant="namer", verdict=verdict)
        for verdict in UNNAMED
    ]
    discoverer.run(model)  # type: ignore[arg-type]
    said = NewLabel("correct", "seen", generator=model.classes[0])
    labels = {first: say(engine, "namer", first, said) for first, _ in added}
    discoverer.run(model)  # type: ignore[arg-type]
    assert states(engine, "namer") == {"held": 2, "named": 2}
    for image_id, label in labels.items():
        say(engine, "namer", image_id, NewLabel("withdraw", "no", label_id=label))
    discoverer.run(model)  # type: ignore[arg-type]
    assert states(engine, "namer") == {"held": 4}


def test_word_brings_into_quarantine(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    named = {"verdict": "generator", "generator": model.classes[0]}
    (image_id,) = add_unseen(engine, model, blob(1, axis=0, count=1), tenant="doubter", **named)
    discoverer.run(model)  # type: ignore[arg-type]
    assert held_images(engine, "doubter") == []
    label = say(engine, "doubter", image_id, NewLabel("correct", "none of them"))
    discoverer.run(model)  # type: ignore[arg-type]
    assert held_images(engine, "doubter") == [image_id]
    say(engine, "doubter", image_id, NewLabel("withdraw", "no", label_id=label))
    discoverer.run(model)  # type: ignore[arg-type]
    assert held_images(engine, "doubter") == []


def test_word_counts_as_source(engine: Engine, model: Model, discoverer: Discoverer) -> None:
    add_unseen(engine, model, blob(1, axis=0, count=40), tenant="teller")
    discoverer.run(model)  # type: ignore[arg-type]
    (before,) = candidates(engine, "teller")
    for image_id in held_images(engine, "teller"):
        say(engine, "teller", image_id, NewLabel("confirm", "seen"))
    discoverer.run(model)  # type: ignore[arg-type]
    (after,) = candidates(engine, "teller")
    assert (before.sources["confirmed"], after.sources["confirmed"]) == (0, after.size)
    assert after.confidence > 1.5 * before.confidence
