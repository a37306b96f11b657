"""What happens between two scheduled refits: requests for one, promotions, and the challenger in shadow.

Shares the refit's lock, so that one process at a time decides who answers. Each decision is one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore
from leaktrace.records.challengers import find_shadow
from leaktrace.records.database import transaction
from leaktrace.records.densities import activate_density, active_density, store_density
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.enrolments import refuse
from leaktrace.records.locks import REFIT_LOCK
from leaktrace.records.open_set_models import Enrolment
from leaktrace.records.promotions import open_promotions, standing_promotions, withdraw_promotion
from leaktrace.records.refits import asked_promotions, asked_refits
from leaktrace.science.gates import GateRules
from worker.bench import Bench
from worker.contest import Contest, Draft, known_part
from worker.loaded_models import read_density
from worker.periodic import run_alone
from worker.refit import Refitter
from worker.shadow import KeptJudge, Shadow, ShadowRules, give_up

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """One run is one call of `run`."""

    engine: Engine
    store: ObjectStore
    refitter: Refitter
    gates: GateRules = field(default_factory=GateRules)
    rules: ShadowRules = field(default_factory=ShadowRules)
    kept: KeptJudge = field(default_factory=KeptJudge)

    def run(self, attributor: "Attributor") -> bool:
        """Do what is open, unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; what is not decided waits for the next run.
        """
        return run_alone(self.engine, REFIT_LOCK, partial(self._do_open, attributor))

    def _do_open(self, attributor: "Attributor") -> None:
        with transaction(self.engine) as session:
            asked = asked_refits(session, attributor.version)
            densities = asked_promotions(session, attributor.version)
            promotions = open_promotions(session, attributor.version)
        for refit_id in asked:
            self.refitter.consider(attributor, asked=refit_id)
        for promotion in promotions:
            self._attend(promotion, attributor)
        shadow = Shadow(
            engine=self.engine, store=self.store, gates=self.gates, rules=self.rules, kept=self.kept
        )
        for density in densities:
            shadow.decide_asked(density)
        shadow.watch(attributor)

    def _attend(self, promotion: Enrolment, attributor: "Attributor") -> None:
        with transaction(self.engine) as session:
            bench = self._bench(session, attributor)
            if bench is None:
                return
            if promotion.state == "withdrawing":
                self._demote(session, promotion, bench)
            elif find_shadow(session, attributor.version) is None:
                self._promote(session, promotion, bench)

    def _bench(self, session: Session, attributor: "Attributor") -> Bench | None:
        active = active_density(session, attributor.version)
        if active is None:
            return None
        return Bench(attributor, active, read_density(active, self.store))

    def _draft(
        self, session: Session, bench: Bench, promotions: Sequence[Enrolment], *, reason: str
    ) -> Draft:
        champion = session.get_one(DensityVersion, bench.base.version)
        carried = {name: champion.details[name] for name in ("data",) if name in champion.details}
        known = read_density(known_part(champion), self.store)
        return Draft(known=known, promotions=promotions, reason=reason, details=carried)

    def _promote(self, session: Session, promotion: Enrolment, bench: Bench) -> None:
        standing = standing_promotions(session, bench.model_version)
        reason = f"promoted {promotion.name} to everybody: {promotion.reason}"
        draft = self._draft(session, bench, [*standing, promotion], reason=reason)
        try:
            entered = Contest(store=self.store, rules=self.gates).enter(session, [draft], bench)
        except ValueError as error:
            refuse(session, promotion.id, outcome=str(error), gates=[])
            return
        session.get_one(Enrolment, promotion.id).density_version = entered.version
        if not entered.in_shadow:
            refuse(session, promotion.id, outcome=entered.outcome, gates=entered.gates)
        log.info("promotion_measured", name=promotion.name, in_shadow=entered.in_shadow)

    def _demote(self, session: Session, promotion: Enrolment, bench: Bench) -> None:
        """Without gates and at once: nothing answers afterwards that has not answered before."""
        shadow = find_shadow(session, bench.model_version)
        if shadow is not None:
            give_up(session, shadow, outcome=f"the promotion of {promotion.name} was taken back")
        outcome = f"{promotion.name} was taken back from everybody"
        draft = self._draft(session, bench, standing_promotions(session, bench.model_version), reason=outcome)
        contest = Contest(store=self.store, rules=self.gates)
        new = contest.record_of(draft, contest.build(session, draft, bench), bench)
        store_density(session, new)
        activate_density(session, new.checkpoint.version, outcome=outcome)
        withdraw_promotion(session, promotion.id, outcome="taken back")
        log.info("generator_demoted", name=promotion.name, density_version=new.checkpoint.version)
