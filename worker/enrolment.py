"""Decides what people asked for: builds the tenant's density, measures the gates, and publishes it or says why not.

A tenant's own density is everybody's, bit for bit, with the generators that it enrolled beside it. It is always made
anew from the list of what stands, so an undo leaves no trace in it. One change at a time (advisory lock); each is
decided in one transaction, so that a run which is broken off decides nothing half.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leaktrace.logs import get_logger
from leaktrace.objects import ObjectStore
from leaktrace.records.database import transaction
from leaktrace.records.densities import (
    NewDensity,
    activate_density,
    active_density,
    announce_promotion,
    retire_density,
    store_density,
    tenants_on_another_base,
)
from leaktrace.records.enrolments import (
    accept,
    open_changes,
    refuse,
    standing_enrolments,
    withdraw,
)
from leaktrace.records.examples import read_named
from leaktrace.records.locks import ENROLMENT_LOCK
from leaktrace.records.open_set_models import Enrolment
from leaktrace.science.gates import Gate, GateRules, compare, held_out_recall
from worker.bench import Bench, Built, as_sample, calibration_sample, store_artefact
from worker.density_facts import describe
from worker.left_behind import LeftBehind
from worker.loaded_models import read_density
from worker.misnamed import tell_taken
from worker.periodic import run_alone

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor

LIVE_IMAGES = 2_000

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Enroller:
    """One run is one call of `run`."""

    engine: Engine
    store: ObjectStore
    rules: GateRules
    left_behind: LeftBehind = field(default_factory=LeftBehind)

    def run(self, attributor: "Attributor") -> bool:
        """Decide all open changes, unless somebody else does so now; says whether it did.

        Raises:
            Unavailable: the database or the store is away; what is not decided waits for the next run.
        """
        return run_alone(self.engine, ENROLMENT_LOCK, partial(self._decide_open, attributor))

    def _decide_open(self, attributor: "Attributor") -> None:
        with transaction(self.engine) as session:
            base = active_density(session, attributor.version)
            changes = open_changes(session, attributor.version)
            behind = tenants_on_another_base(session, attributor.version)
        if base is not None and (changes or behind):
            self._decide_all(changes, behind, Bench(attributor, base, read_density(base, self.store)))

    def _decide_all(
        self, changes: Sequence[Sequence[Enrolment]], behind: Sequence[UUID], bench: Bench
    ) -> None:
        due = self._due(changes, behind, bench)
        for tenant_id in behind:
            if tenant_id in due:
                with self._sparing_others(tenant_id, due), transaction(self.engine) as session:
                    self._follow(session, tenant_id, bench)
        for change in changes:
            if change[0].tenant_id in due:
                withdrawn = change[0].state == "withdrawing"
                with self._sparing_others(change[0].tenant_id, due):
                    (self._withdraw if withdrawn else self._enrol)(change, bench)

    def _due(
        self, changes: Sequence[Sequence[Enrolment]], behind: Sequence[UUID], bench: Bench
    ) -> dict[UUID, Hashable]:
        """Of whom there is something to do, and it was not tried in vain just now; with all that it depends on."""
        situations: dict[UUID, Hashable] = {}
        with transaction(self.engine) as session:
            for tenant_id in {*behind, *(change[0].tenant_id for change in changes)}:
                standing = standing_enrolments(session, tenant_id, model_version=bench.model_version)
                asked = [one for change in changes for one in change if one.tenant_id == tenant_id]
                enrolments = frozenset((one.id, one.state) for one in (*standing, *asked))
                situations[tenant_id] = (bench.base.version, enrolments)
        return {one: how for one, how in situations.items() if self.left_behind.is_due(one, how)}

    @contextmanager
    def _sparing_others(self, tenant_id: UUID, situations: Mapping[UUID, Hashable]) -> Iterator[None]:
        """Let a tenant whose density cannot be made again, since examples were deleted, hold up nobody else."""
        try:
            yield
        except ValueError as error:
            seconds = self.left_behind.fail(tenant_id, situations[tenant_id])
            log.warning(
                "tenant_left_behind",
                tenant_id=str(tenant_id),
                reason=str(error),
                again_in_seconds=round(seconds),
            )

    def _follow(self, session: Session, tenant_id: UUID, bench: Bench) -> None:
        """Set the tenant's generators on the shared density that is active now."""
        standing = standing_enrolments(session, tenant_id, model_version=bench.model_version)
        taken = [one for one in standing if one.name in bench.density.classes_]
        for enrolment in taken:
            withdraw(session, enrolment.id, outcome=f"everybody knows a generator {enrolment.name} now")
        built = bench.build(session, [one for one in standing if one not in taken], rules=self.rules)
        self._publish(session, tenant_id, built, bench=bench, reason="the shared density changed")

    def _withdraw(self, change: Sequence[Enrolment], bench: Bench) -> None:
        (enrolment,) = change
        with transaction(self.engine) as session:
            standing = standing_enrolments(session, enrolment.tenant_id, model_version=bench.model_version)
            built = bench.build(session, standing, rules=self.rules)
            reason = f"{enrolment.name} was taken back: {enrolment.reason}"
            self._publish(session, enrolment.tenant_id, built, bench=bench, reason=reason)
            withdraw(session, enrolment.id, outcome="taken back")
        log.info("generator_withdrawn", name=enrolment.name)

    def _enrol(self, change: Sequence[Enrolment], bench: Bench) -> None:
        with transaction(self.engine) as session:
            gates: dict[UUID, list[Gate]] = {}
            try:
                built = bench.build(session, self._wanted(session, change, bench), rules=self.rules)
                gates = self._measure(session, change, built, bench)
                failed = [gate.detail for each in gates.values() for gate in each if not gate.passed]
            except ValueError as error:
                failed = [str(error)]
            if failed:
                self._refuse(session, change, gates, failed=failed)
                return
            names = ", ".join(enrolment.name for enrolment in change)
            reason = f"enrolled {names}: {change[0].reason}"
            version = self._publish(session, change[0].tenant_id, built, bench=bench, reason=reason)
            for enrolment in change:
                passed = [gate.to_dict() for gate in gates[enrolment.id]]
                accept(session, enrolment.id, density_version=version, gates=passed)
        log.info("generators_enrolled", names=names, density_version=version)

    def _wanted(self, session: Session, change: Sequence[Enrolment], bench: Bench) -> list[Enrolment]:
        replaced = {old for enrolment in change for old in enrolment.replaces}
        standing = standing_enrolments(session, change[0].tenant_id, model_version=bench.model_version)
        return [*(one for one in standing if str(one.id) not in replaced), *change]

    def _measure(
        self, session: Session, change: Sequence[Enrolment], built: Built, bench: Bench
    ) -> dict[UUID, list[Gate]]:
        tenant_id = change[0].tenant_id
        judge = bench.attributor.make_judge(built.density, version="challenger")
        own = active_density(session, bench.model_version, tenant_id=tenant_id)
        present = read_density(own, self.store) if own is not None else bench.density
        champion = bench.attributor.make_judge(present, version="champion")
        live = read_named(
            session,
            tenant_id,
            model_version=bench.model_version,
            examples_of=[enrolment.id for enrolment in change],
            limit=LIVE_IMAGES,
        )
        sample = as_sample(live, dimensions=judge.density.embeddings_.shape[1])
        gates = compare(
            champion,
            judge,
            reference=calibration_sample(bench.density),
            live=sample,
            golden=bench.golden(),
            rules=self.rules,
        )
        names = [enrolment.name for enrolment in change]
        told = tell_taken(gates, live, sample, champion=champion, challenger=judge, names=names)
        return {
            enrolment.id: [
                *told,
                held_out_recall(judge, built.held_out[enrolment.id], name=enrolment.name, rules=self.rules),
            ]
            for enrolment in change
        }

    def _refuse(
        self,
        session: Session,
        change: Sequence[Enrolment],
        gates: dict[UUID, list[Gate]],
        *,
        failed: Sequence[str],
    ) -> None:
        outcome = "; ".join(dict.fromkeys(failed))
        for enrolment in change:
            measured = [gate.to_dict() for gate in gates.get(enrolment.id, [])]
            refuse(session, enrolment.id, outcome=outcome, gates=measured)
        log.info("enrolment_refused", names=[enrolment.name for enrolment in change], reason=outcome)

    def _publish(self, session: Session, tenant_id: UUID, built: Built, *, bench: Bench, reason: str) -> str:
        """Make the built density the tenant's; without enrolments everybody's judges its images again."""
        if not built.held_out:
            before = retire_density(session, bench.model_version, tenant_id=tenant_id)
            announce_promotion(session, bench.model_version, tenant_id, before=before, reason=reason)
            return bench.base.version
        details = {
            **describe(built.density, bench.attributor.card),
            "base": bench.base.version,
            "enrolments": [str(enrolment_id) for enrolment_id in built.held_out],
        }
        checkpoint = store_artefact(
            built.density,
            self.store,
            model_version=bench.model_version,
            prefix=f"own-{tenant_id.hex[-8:]}",
            details=details,
        )
        new = NewDensity(checkpoint, bench.model_version, details=details, reason=reason)
        store_density(session, new, tenant_id=tenant_id)
        activate_density(session, checkpoint.version, outcome=reason)
        return checkpoint.version
