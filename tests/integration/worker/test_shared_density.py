"""How the density that judges everybody comes to change: by what trusted people confirmed, through shadow and gates."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, select, update

from leaktrace.objects import S3ObjectStore
from leaktrace.queue import ShardQueue
from leaktrace.records.challengers import count_shadow, list_judged_twice, reject_density
from leaktrace.records.database import transaction
from leaktrace.records.density_models import Refit, ShadowJudgement
from leaktrace.records.enrolments import enrol_batch, list_enrolments
from leaktrace.records.models import Attribution, Item
from leaktrace.records.promotions import demote_generator, promote_generator
from leaktrace.records.refits import NotPromotable, ask_promotion, ask_refit, list_refits
from leaktrace.records.rollback import roll_back
from leaktrace.science.gates import Gate, GateRules
from leaktrace.science.judging import Judge
from tests.integration.worker.conftest import MakeWorker
from tests.integration.worker.shared_service import Service
from tests.submissions import Submissions
from tests.synthetic import SyntheticAttributor
from worker import contest
from worker.challenge import Challenge
from worker.confirmed import ConfirmedRules
from worker.enrolment import Enroller
from worker.refit import RefitRules, Refitter
from worker.shadow import ShadowRules

LENIENT = GateRules(max_class_loss=0.05, max_golden_change=0.2, max_auroc_loss=0.05)


@pytest.fixture
def service(
    make_worker: MakeWorker,
    engine: Engine,
    store: S3ObjectStore,
    queue: ShardQueue,
    request: pytest.FixtureRequest,
) -> Service:
    attributor = SyntheticAttributor(request.node.name.replace("_", "-"))
    rules = RefitRules(ConfirmedRules(age=timedelta(0)))
    refitter = Refitter(engine=engine, store=store, gates=LENIENT, rules=rules)
    return Service(
        attributor=attributor,
        worker=make_worker(attributor),
        submissions=Submissions(engine, store, queue, tenant=attributor.version),
        refitter=refitter,
        challenge=Challenge(
            engine=engine, store=store, refitter=refitter, gates=LENIENT, rules=ShadowRules(images=10)
        ),
        enroller=Enroller(engine=engine, store=store, rules=GateRules()),
    )


def test_few_confirmations_change_nothing(service: Service) -> None:
    service.confirm(service.submit(alpha=3))
    assert service.refit() == ("no_change", "3 of 9 newly confirmed images")


def test_untrusted_confirmations_do_not_count(service: Service) -> None:
    service.confirm(service.submit(alpha=12), trusted=False)
    assert service.refit() == ("no_change", "0 of 9 newly confirmed images")


def test_confirmed_images_reach_everybody_through_shadow(service: Service) -> None:
    first = service.active()
    service.confirm(service.submit(alpha=6, beta=6))
    assert service.refit()[0] == "shadow"
    shadow = service.shadow()
    assert shadow is not None
    assert (service.active(), shadow.known_images) == (first, 192)
    service.attend()
    assert service.active() == first
    service.submit(alpha=6, beta=6)
    service.attend()
    assert (service.active(), service.last_refit()[0]) == (shadow.version, "published")
    with transaction(service.engine) as session:
        assert count_shadow(session, shadow.version).named >= 10
    assert service.refit() == ("no_change", "0 of 10 newly confirmed images")
    with transaction(service.engine) as session:
        roll_back(session, service.version, tenant_id=None, actor="cli", reason="a test")
    assert (service.active(), service.refit()[0]) == (first, "no_change")


def test_many_confirmations_join_by_and_by(service: Service) -> None:
    service.confirm(service.submit(alpha=20, beta=20))
    assert service.refit()[0] == "shadow"
    shadow = service.shadow()
    assert shadow is not None
    assert shadow.known_images == 180 + 18
    service.submit(alpha=6, beta=6)
    service.attend()
    service.refit()
    following = service.shadow()
    assert following is not None
    assert following.known_images == 180 + 18 + 20


def refuse_steps_over(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gates say that a density of more known images than that changes too many answers."""

    def gates(_champion: Judge, challenger: Judge, **_: object) -> list[Gate]:
        known = len(challenger.density.embeddings_)
        return [Gate("reference_flips", known <= most, known, most, f"{known} known images are too many")]

    monkeypatch.setattr(contest, "compare", gates)


def last_steps(service: Service) -> list[tuple[int, list[str]]]:
    with transaction(service.engine) as session:
        newest = list_refits(session, service.version)[0]
        return [(step["confirmed_images"], step["refused_by"]) for step in newest.details["steps"]]


def test_smaller_step_joins_when_largest_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_steps_over(180 + 5, monkeypatch)
    service.confirm(service.submit(alpha=12, beta=12))
    outcome, reason = service.refit()
    assert (outcome, reason.endswith("(4 of 24 confirmed images, in step 3)")) == ("shadow", True)
    assert last_steps(service) == [(18, ["reference_flips"]), (9, ["reference_flips"]), (4, [])]
    shadow = service.shadow()
    assert shadow is not None
    assert (shadow.known_images, shadow.details["data"]["confirmed_images"]) == (184, 4)


def test_refused_steps_wait_for_more(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_steps_over(180, monkeypatch)
    service.confirm(service.submit(alpha=20))
    assert service.refit() == (
        "refused",
        "20 of 9 newly confirmed images: 198 known images are too many; left out until they are labelled anew: 1",
    )
    assert [size for size, _ in last_steps(service)] == [18, 9, 4, 2, 1]
    assert service.refit() == ("no_change", "0 of 9 newly confirmed images")
    service.confirm(service.submit(beta=10))
    refuse_steps_over(180 + 2, monkeypatch)
    assert (service.refit()[0], last_steps(service)[-1]) == ("shadow", (2, []))


def test_bad_image_blocks_one_refit(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = service.submit(alpha=1)
    with transaction(service.engine) as session:
        embedding = session.scalars(
            select(Attribution.embedding).join(Item).where(Item.batch_id == bad)
        ).one()
    bad_row = np.asarray(embedding, dtype=np.float32)

    def gates(_champion: Judge, challenger: Judge, **_: object) -> list[Gate]:
        holds = bool((challenger.density.embeddings_ == bad_row).all(axis=1).any())
        return [Gate("reference_flips", not holds, holds, 0, "it holds the bad image")]

    monkeypatch.setattr(contest, "compare", gates)
    service.confirm(bad)
    service.confirm(service.submit(alpha=6, beta=5))
    assert (service.refit()[0], [size for size, _ in last_steps(service)]) == ("refused", [12, 6, 3, 1])
    service.confirm(service.submit(beta=10))
    assert service.refit()[0] == "shadow"
    assert last_steps(service) == [(18, [])]


def test_asked_refit_is_answered(service: Service) -> None:
    service.confirm(service.submit(alpha=2))
    with transaction(service.engine) as session:
        ask_refit(session, service.version, actor="cli", reason="we looked at them")
    service.attend()
    outcome, reason = service.last_refit()
    assert (outcome, reason.startswith("asked for; 2 of 9 newly confirmed images")) == ("shadow", True)


def begin_shadow(service: Service) -> str:
    service.confirm(service.submit(alpha=6, beta=6))
    assert service.refit()[0] == "shadow"
    shadow = service.shadow()
    assert shadow is not None
    return shadow.version


def ask_for(service: Service, version: str) -> tuple[str, str]:
    with transaction(service.engine) as session:
        tenant_id = service.submissions.tenant_id
        asked = ask_promotion(session, version, tenant_id=tenant_id, actor="key:test", reason="seen").id
    service.attend()
    with transaction(service.engine) as session:
        decided = session.get_one(Refit, asked)
        return decided.outcome, decided.reason


def test_person_promotes_shadow_and_brings_back_earlier(service: Service) -> None:
    first, shadow = service.active(), begin_shadow(service)
    service.submit(alpha=2)
    service.attend()
    outcome, reason = ask_for(service, shadow)
    assert (outcome, service.active()) == ("published", shadow)
    assert "0 of 2 named answers" in reason
    assert (ask_for(service, first)[0], service.active()) == ("published", first)
    with transaction(service.engine) as session:
        restored = roll_back(session, service.version, tenant_id=None, actor="cli", reason="a test")
    assert restored == shadow


def test_person_cannot_promote_shadow_that_flips(service: Service) -> None:
    first, shadow = service.active(), begin_shadow(service)
    service.submit(alpha=1)
    service.attend()
    with transaction(service.engine) as session:
        session.execute(update(ShadowJudgement).values(generator="beta"))
        tenant_id = service.submissions.tenant_id
        (image,) = list_judged_twice(session, shadow, tenant_id=tenant_id, changed=True, limit=9)
    assert (image.before, image.after) == ("alpha", "beta")
    assert ask_for(service, shadow) == (
        "refused",
        "1 of 1 named answers to live images change; it stays in shadow",
    )
    assert service.active() == first


def test_rejected_density_cannot_be_promoted(service: Service) -> None:
    shadow = begin_shadow(service)
    with transaction(service.engine) as session:
        reject_density(session, shadow, outcome="a test", gates=[])
    with pytest.raises(NotPromotable, match="rejected"):
        ask_for(service, shadow)


def test_idle_worker_takes_what_was_promoted(service: Service) -> None:
    shadow = begin_shadow(service)
    ask_for(service, shadow)
    service.worker._density_watch.look()
    assert service.attributor.density_version == shadow


def test_promoted_generator_is_everybodys_until_demoted(service: Service) -> None:
    other = Submissions(
        service.engine, service.submissions.store, service.submissions.queue, tenant="other tenant"
    )
    batch_id = service.submit(gamma=60)
    with transaction(service.engine) as session:
        enrol_batch(session, service.change, name="gamma-1", batch_id=batch_id)
    service.enroller.run(service.attributor)  # type: ignore[arg-type]
    with transaction(service.engine) as session:
        promote_generator(session, service.change, name="gamma-1")
    service.attend()
    assert service.shadow() is not None
    service.submit(other, alpha=6, beta=6)
    service.attend()
    assert service.shadow() is None
    service.enroller.run(service.attributor)  # type: ignore[arg-type]
    assert service.answers(service.submit(other, gamma=1)) == {("gamma-1", "generator")}
    with transaction(service.engine) as session:
        demote_generator(session, service.change, name="gamma-1")
    service.attend()
    service.enroller.run(service.attributor)  # type: ignore[arg-type]
    assert service.answers(service.submit(other, gamma=1)) == {("unseen", "unseen")}
    assert service.answers(service.submit(gamma=1)) == {("gamma-1", "generator")}
    with transaction(service.engine) as session:
        states = [(one.shared, one.state) for one in list_enrolments(session, service.submissions.tenant_id)]
    assert states == [(True, "undone"), (False, "active")]
