"""What tests of everybody's density do: submit, confirm, refit, attend to a shadow, and ask what is in force."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID

from sqlalchemy import Engine, select

from leaktrace.records.challengers import find_shadow
from leaktrace.records.database import transaction
from leaktrace.records.densities import active_density
from leaktrace.records.density_models import DensityVersion
from leaktrace.records.enrolments import Change
from leaktrace.records.labels import NewLabel, add_label
from leaktrace.records.models import Attribution, Item
from leaktrace.records.refits import list_refits
from tests.submissions import Submissions
from tests.synthetic import CLASSES, SyntheticAttributor, picture_of
from worker.challenge import Challenge
from worker.enrolment import Enroller
from worker.process import WorkerProcess
from worker.refit import Refitter


@dataclass
class Service:
    """A model of its own, a worker, a tenant, and the jobs that look after the density for everybody."""

    attributor: SyntheticAttributor
    worker: WorkerProcess
    submissions: Submissions
    refitter: Refitter
    challenge: Challenge
    enroller: Enroller
    seeds: Iterator[int] = field(default_factory=lambda: count(20_000))

    @property
    def engine(self) -> Engine:
        return self.submissions.engine

    @property
    def version(self) -> str:
        return self.attributor.version

    @property
    def change(self) -> Change:
        return Change(self.submissions.tenant_id, self.version, CLASSES, actor="cli", reason="a test")

    def submit(self, submissions: Submissions | None = None, **counts: int) -> UUID:
        names = [name for name, number in counts.items() for _ in range(number)]
        files = {
            f"{name}-{seed}": picture_of(name, seed) for name, seed in zip(names, self.seeds, strict=False)
        }
        batch_id, shards = (submissions or self.submissions).submit(files, shard_images=64, send=False)
        for shard_id in shards:
            self.worker.attribute_shard(shard_id)
        return batch_id

    def confirm(self, batch_id: UUID, *, trusted: bool = True) -> None:
        with transaction(self.engine) as session:
            for name, item in self.submissions.items(batch_id).items():
                assert item.image_id is not None
                said = NewLabel("correct", "seen", generator=name.split("-")[0], trusted=trusted)
                tenant_id = self.submissions.tenant_id
                add_label(session, tenant_id, image_id=item.image_id, said=said, actor="key:test")

    def last_refit(self) -> tuple[str, str]:
        with transaction(self.engine) as session:
            newest = list_refits(session, self.version)[0]
            return newest.outcome, newest.reason

    def refit(self) -> tuple[str, str]:
        self.refitter.run(self.attributor)  # type: ignore[arg-type]
        return self.last_refit()

    def attend(self) -> None:
        self.challenge.run(self.attributor)  # type: ignore[arg-type]

    def active(self) -> str:
        with transaction(self.engine) as session:
            found = active_density(session, self.version)
            assert found is not None
            return found.version

    def shadow(self) -> DensityVersion | None:
        with transaction(self.engine) as session:
            return find_shadow(session, self.version)

    def answers(self, batch_id: UUID) -> set[tuple[str, str]]:
        with transaction(self.engine) as session:
            rows = session.execute(
                select(Attribution.generator, Attribution.verdict)
                .join(Item, Item.attribution_id == Attribution.id)
                .where(Item.batch_id == batch_id)
            ).all()
        return {(generator or verdict, verdict) for generator, verdict in rows}
