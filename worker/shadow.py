"""The challenger in shadow: it judges what the champion answered, and is promoted by the gates or kept with the reason.

It judges from stored embeddings, beside the traffic and not in it, so that no answer waits for it. What it says is
recorded under its own version and never shown as the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore
from leaktrace.records.audit import record_audit
from leaktrace.records.challengers import (
    ShadowScore,
    count_shadow,
    find_shadow,
    images_to_shadow,
    reject_density,
    save_judgements,
)
from leaktrace.records.database import transaction
from leaktrace.records.densities import activate_density, active_density, as_checkpoint
from leaktrace.records.density_models import DensityVersion, Refit
from leaktrace.records.enrolments import accept, refuse
from leaktrace.records.open_set_models import Enrolment
from leaktrace.records.promotions import restore_promotions
from leaktrace.records.refits import record_refit
from leaktrace.records.rollback import enrolments_of
from leaktrace.science.gates import Gate, GateRules
from leaktrace.settings import Settings
from worker.loaded_models import read_density
from worker.rejudging import rejudge

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor
    from leaktrace.science.judging import Judge

IMAGES_A_STEP = 500
STEPS_A_RUN = 10

log = get_logger(__name__)


@dataclass(frozen=True)
class ShadowRules:
    """When a shadow is decided: after so many named live images, or after so long on what there was."""

    images: int = 500
    longest: timedelta = timedelta(hours=72)


def shadow_rules(settings: Settings) -> ShadowRules:
    """The bounds that the operator has set."""
    return ShadowRules(images=settings.shadow_images, longest=timedelta(hours=settings.shadow_hours))


class KeptJudge:
    """The judge by the density in shadow, kept from look to look until another one is in shadow."""

    def __init__(self) -> None:
        self._version = ""
        self._judge: Judge | None = None

    def judge_of(self, shadow: DensityVersion, attributor: "Attributor", store: ObjectStore) -> "Judge":
        """The judge; its density is read from the store once."""
        if self._judge is None or self._version != shadow.version:
            density = read_density(as_checkpoint(shadow), store)
            self._judge = attributor.make_judge(density, version=shadow.version)
            self._version = shadow.version
        return self._judge


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """One look is one call of `watch`; the caller holds the refit's lock."""

    engine: Engine
    store: ObjectStore
    gates: GateRules
    rules: ShadowRules
    kept: KeptJudge

    def watch(self, attributor: "Attributor") -> None:
        """Let the challenger judge what is new, then decide if there is enough. Does nothing without a challenger."""
        with transaction(self.engine) as session:
            shadow = find_shadow(session, attributor.version)
            if shadow is None or not self._contends(session, shadow):
                return
        judge = self.kept.judge_of(shadow, attributor, self.store)
        for _ in range(STEPS_A_RUN):
            with transaction(self.engine) as session:
                if self._judge_some(session, shadow, judge) < IMAGES_A_STEP:
                    break
        with transaction(self.engine) as session:
            self._decide(session, session.get_one(DensityVersion, shadow.version))

    def _contends(self, session: Session, shadow: DensityVersion) -> bool:
        """Whether the champion is still the one that the shadow was measured against; otherwise it is given up."""
        active = active_density(session, shadow.model_version)
        if active is not None and active.version == shadow.details["champion"]:
            return True
        now = active.version if active is not None else "no density"
        give_up(session, shadow, outcome=f"{now} answers now, not {shadow.details['champion']}")
        return False

    def _judge_some(self, session: Session, shadow: DensityVersion, judge: "Judge") -> int:
        images = images_to_shadow(session, shadow, limit=IMAGES_A_STEP)
        judged = rejudge(judge, images)
        rows = [
            {
                "density_version": shadow.version,
                "attribution_id": image.attribution_id,
                "tenant_id": image.tenant_id,
                "verdict": one.verdict,
                "generator": one.generator,
                "p_value": one.p_value,
                "reason": one.reason,
            }
            for image, one in zip(images, judged, strict=True)
        ]
        save_judgements(session, rows)
        return len(images)

    def _decide(self, session: Session, shadow: DensityVersion) -> None:
        score = count_shadow(session, shadow.version)
        age = datetime.now(UTC) - (shadow.shadowed_at or shadow.created_at)
        gate = shadow_flips(score, age, shadow=self.rules, rules=self.gates)
        if gate is None:
            return
        gates = [*shadow.gates, gate.to_dict()]
        if gate.passed:
            _promote(session, shadow, gates=gates, outcome=f"promoted: all gates passed, {gate.detail}")
        else:
            _refuse(session, shadow, gates=gates, outcome=gate.detail)

    def decide_asked(self, asked: Refit) -> None:
        """Promote what a person asked for: one that answered before, or one in shadow as far as its images allow.

        A refusal leaves a density in shadow there.
        """
        with transaction(self.engine) as session:
            chosen = session.get_one(DensityVersion, asked.density_version)
            if chosen.state == "retired":
                _bring_back(session, chosen, asked=asked)
            elif chosen.state == "shadow" and self._contends(session, chosen):
                self._decide_now(session, chosen, asked=asked)
            else:
                _answer(
                    session, asked, outcome="refused", reason=f"{chosen.version} is {chosen.state} by now"
                )

    def _decide_now(self, session: Session, shadow: DensityVersion, *, asked: Refit) -> None:
        gate = live_gate(count_shadow(session, shadow.version), rules=self.gates)
        if gate.passed:
            outcome = f"promoted by {asked.actor}: all gates passed so far, {gate.detail}"
            _promote(session, shadow, gates=[*shadow.gates, gate.to_dict()], outcome=outcome, asked=asked)
        else:
            _answer(session, asked, outcome="refused", reason=f"{gate.detail}; it stays in shadow")


def live_gate(score: ShadowScore, *, rules: GateRules) -> Gate:
    """How many named answers to live images change, and whether that is few enough."""
    share = score.flips / max(1, score.named)
    detail = f"{score.flips} of {score.named} named answers to live images change"
    return Gate("shadow_flips", share <= rules.max_flips, share, rules.max_flips, detail)


def shadow_flips(score: ShadowScore, age: timedelta, *, shadow: ShadowRules, rules: GateRules) -> Gate | None:
    """The gate on live traffic; None while there is too little of it and time is left.

    It fails early when so many named answers change that no further image could mend it.
    """
    limit = rules.max_flips
    enough = score.named >= shadow.images or age >= shadow.longest
    hopeless = score.flips > limit * max(shadow.images, score.named)
    if not enough and not hopeless:
        return None
    gate = live_gate(score, rules=rules)
    detail = gate.detail
    if score.named < shadow.images and not hopeless:
        detail += f" (fewer than {shadow.images} came in {shadow.longest.total_seconds() / 3600:g} hours)"
    return replace(gate, passed=gate.passed and not hopeless, detail=detail)


def give_up(session: Session, shadow: DensityVersion, *, outcome: str) -> None:
    """End a shadow that nothing is said against; promotions that came with it enter again with the next one."""
    reject_density(session, shadow.version, outcome=outcome, gates=shadow.gates)
    for enrolment_id in _entering(session, shadow):
        session.get_one(Enrolment, enrolment_id).density_version = None
    log.info("shadow_given_up", density_version=shadow.version, reason=outcome)


def _promote(
    session: Session,
    shadow: DensityVersion,
    *,
    gates: Sequence[Any],
    outcome: str,
    asked: Refit | None = None,
) -> None:
    shadow.gates = list(gates)
    before = activate_density(session, shadow.version, outcome=outcome)
    for enrolment_id in _entering(session, shadow):
        accept(session, enrolment_id, density_version=shadow.version, gates=list(gates))
    details = {"took_the_place_of": before}
    _record(session, shadow, outcome="published", reason=outcome, asked=asked, details=details)
    log.info("density_promoted", density_version=shadow.version, reason=outcome)


def _bring_back(session: Session, chosen: DensityVersion, *, asked: Refit) -> None:
    """Let a density answer again that did before, with the promotions that it was made with."""
    outcome = f"brought back by {asked.actor}: {asked.reason}"
    before = activate_density(session, chosen.version, outcome=outcome)
    restore_promotions(session, chosen.model_version, kept=enrolments_of(chosen), reason=asked.reason)
    details = {"took_the_place_of": before}
    _record(session, chosen, outcome="published", reason=outcome, asked=asked, details=details)
    log.info("density_promoted", density_version=chosen.version, reason=outcome)


def _answer(session: Session, asked: Refit, *, outcome: str, reason: str) -> None:
    record_refit(
        session,
        asked.model_version,
        outcome=outcome,
        reason=reason,
        density_version=asked.density_version,
        asked=asked.id,
    )


def _refuse(session: Session, shadow: DensityVersion, *, gates: Sequence[Any], outcome: str) -> None:
    reject_density(session, shadow.version, outcome=outcome, gates=gates)
    for enrolment_id in _entering(session, shadow):
        refuse(session, enrolment_id, outcome=outcome, gates=list(gates))
    _record(session, shadow, outcome="refused", reason=outcome)
    log.info("density_refused", density_version=shadow.version, reason=outcome)


def _entering(session: Session, shadow: DensityVersion) -> list[UUID]:
    """Promotions that would become active with the shadow."""
    found = [session.get(Enrolment, UUID(each)) for each in shadow.details.get("enrolments", [])]
    return [one.id for one in found if one is not None and one.state == "pending"]


def _record(
    session: Session,
    shadow: DensityVersion,
    *,
    outcome: str,
    reason: str,
    asked: Refit | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    record_refit(
        session,
        shadow.model_version,
        outcome=outcome,
        reason=reason,
        density_version=shadow.version,
        details=details,
        asked=asked.id if asked is not None else None,
    )
    action = "density.promoted" if outcome == "published" else "density.refused"
    actor = asked.actor if asked is not None else "system"
    record_audit(session, action, tenant_id=None, actor=actor, subject=shadow.version, reason=reason)
