"""What a user does about generators that the model does not know: look at candidates, name them, take it back.

Reached as `open_set` of both clients; see `methods`. Refits and promotions concern everybody, and need a key that may.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from leaktrace.client.answers import Answer, Candidate, Density, Enrolment
from leaktrace.client.errors import WaitTimedOut
from leaktrace.client.flows import Flow, Pause, Series
from leaktrace.client.methods import Part, SenderT, iterated, once, shared
from leaktrace.client.open_set_answers import (
    DriftAlarm,
    DriftReport,
    EmbeddingMap,
    Refit,
    ShadowImage,
    ShadowReport,
)

PAUSE_SECONDS = 1.0
DecidedT = TypeVar("DecidedT", Enrolment, Refit)


class RolledBack(Answer):
    """The density that judges from now on; None: everybody's."""

    version: str | None


class Examples(Answer):
    """Images that an enrolled generator was made of; `count` is how many there are in all."""

    count: int
    data: list[str]


class OpenSet(Part[SenderT]):
    """Candidates, enrolments and densities of the key's tenant."""

    @shared
    def candidates(self) -> Flow[list[Candidate]]:
        """Groups among the tenant's images without a name that may be one new generator each, the surest first."""
        return self._list(Candidate, "/v1/generators/candidates")

    @shared
    def medoid(self, candidate_id: str, number: int = 0) -> Flow[bytes]:
        """A thumbnail (JPEG) of a candidate's most typical images; 0 is the most typical of all."""
        return self._bytes(f"/v1/generators/candidates/{candidate_id}/medoids/{number}")

    @shared
    def enrol_candidate(self, candidate_id: str, name: str, *, reason: str) -> Flow[Enrolment]:
        """Name the generator of a candidate's images."""
        body = {"of": "candidate", "name": name, "candidate_id": candidate_id, "reason": reason}
        return self._change_one("/v1/generators", body)

    @shared
    def enrol_batch(self, batch_id: str, name: str, *, reason: str) -> Flow[Enrolment]:
        """Name the generator that made all images of a batch, at least 50."""
        body = {"of": "batch", "name": name, "batch_id": batch_id, "reason": reason}
        return self._change_one("/v1/generators", body)

    @shared
    def images(self, name: str, *, limit: int = 100) -> Flow[Examples]:
        """Ids of images that an enrolled generator was made of, for a split."""
        return self._ask(Examples, "GET", f"/v1/generators/{name}/images", params={"limit": limit})

    @shared
    def map(self) -> Flow[EmbeddingMap]:
        """The newest map of the tenant's images, what is alike near each other."""
        return self._ask(EmbeddingMap, "GET", "/v1/generators/map")

    @shared
    def draw_map(self) -> Flow[EmbeddingMap]:
        """Have a worker draw the map anew; it takes seconds."""
        return self._ask(EmbeddingMap, "POST", "/v1/generators/map")

    @shared
    def merge(self, name: str, *, into: str, reason: str) -> Flow[Enrolment]:
        """Make an enrolled generator part of another one."""
        return self._change_one(f"/v1/generators/{name}/merge", {"into": into, "reason": reason})

    @shared
    def split(
        self, name: str, image_ids: Sequence[str], *, new_name: str, reason: str
    ) -> Flow[list[Enrolment]]:
        """Make some images of an enrolled generator another one."""
        body = {"new_name": new_name, "image_ids": list(image_ids), "reason": reason}
        return self._change(f"/v1/generators/{name}/split", body)

    @shared
    def undo(self, name: str, *, reason: str) -> Flow[Enrolment]:
        """Take an enrolled generator back."""
        return self._change_one(f"/v1/generators/{name}/undo", {"reason": reason})

    @shared
    def promote(self, name: str, *, reason: str) -> Flow[Enrolment]:
        """Make a generator that the tenant enrolled everybody's; needs the scope service:admin."""
        return self._change_one(f"/v1/generators/{name}/promote", {"reason": reason})

    @shared
    def demote(self, name: str, *, reason: str) -> Flow[Enrolment]:
        """Take a promotion back; needs the scope service:admin."""
        return self._change_one(f"/v1/generators/{name}/demote", {"reason": reason})

    @shared
    def enrolments(self) -> Flow[list[Enrolment]]:
        """What was asked for and what became of it, the newest first."""
        return self._list(Enrolment, "/v1/generators/enrolments")

    @shared
    def wait(self, enrolment_id: str, *, timeout_seconds: float = 60.0) -> Flow[Enrolment]:
        """The enrolment, once a worker has decided it.

        Raises:
            WaitTimedOut: no worker has decided it in time.
        """
        return self._decided(
            Enrolment, "/v1/generators/enrolments", enrolment_id, timeout_seconds=timeout_seconds
        )

    @shared
    def densities(self) -> Flow[list[Density]]:
        """Density versions for everybody and the tenant's own, the newest first."""
        return self._list(Density, "/v1/density")

    @shared
    def refits(self) -> Flow[list[Refit]]:
        """The looks at the density for everybody, the newest first, also those that changed nothing."""
        return self._list(Refit, "/v1/density/refits")

    @shared
    def ask_refit(self, *, reason: str) -> Flow[Refit]:
        """Have the density for everybody fitted again now; needs the scope service:admin."""
        return self._ask_once(Refit, "/v1/density/refits", {"reason": reason})

    @shared
    def promote_density(self, version: str, *, reason: str) -> Flow[Refit]:
        """Let a density in shadow, or one that answered before, answer everybody; needs the scope service:admin."""
        return self._ask_once(Refit, f"/v1/density/{version}/promote", {"reason": reason})

    @shared
    def wait_for_refit(self, refit_id: str, *, timeout_seconds: float = 60.0) -> Flow[Refit]:
        """The refit or promotion that was asked for, once a worker has decided it.

        Raises:
            WaitTimedOut: no worker has decided it in time.
        """
        return self._decided(Refit, "/v1/density/refits", refit_id, timeout_seconds=timeout_seconds)

    @shared
    def drift(self) -> Flow[DriftReport]:
        """The newest look at whether images still look as they did, with its alarms."""
        return self._ask(DriftReport, "GET", "/v1/drift")

    @iterated
    def drift_alarms(self) -> Series[DriftAlarm]:
        """The alarms of all looks, the newest look first; an alarm that stays is in each."""
        return self._pages(DriftAlarm, "/v1/drift/alarms")

    @shared
    def shadow(self, version: str) -> Flow[ShadowReport]:
        """How often a density in shadow would answer the tenant's images otherwise."""
        return self._ask(ShadowReport, "GET", f"/v1/density/{version}/shadow")

    @iterated
    def shadow_images(self, version: str, *, changed: bool = True) -> Series[ShadowImage]:
        """The tenant's images that a density in shadow would answer otherwise, or all it judged, the newest first."""
        path = f"/v1/density/{version}/shadow/images"
        return self._pages(ShadowImage, path, changed=str(changed).lower())

    @shared
    def roll_back(self, *, reason: str, shared: bool = False) -> Flow[str | None]:
        """Go back to the density before; gives it, or None where everybody's judges the tenant's images again.

        `shared` does so for everybody and needs the scope service:admin.
        """
        body = {"reason": reason, "scope": "shared" if shared else "own"}
        return (yield from self._ask_once(RolledBack, "/v1/density/rollback", body)).version

    def _change(self, path: str, body: dict[str, Any]) -> Flow[list[Enrolment]]:
        return self._list(Enrolment, path, method="POST", json=body, headers=once())

    def _change_one(self, path: str, body: dict[str, Any]) -> Flow[Enrolment]:
        return (yield from self._change(path, body))[0]

    def _decided(
        self, kind: type[DecidedT], path: str, wanted: str, *, timeout_seconds: float
    ) -> Flow[DecidedT]:
        """Ask for a listing until the entry with the id `wanted` is decided."""
        deadline = self._sender.clock() + timeout_seconds
        while self._sender.clock() < deadline:
            for entry in (yield from self._list(kind, path)):
                if entry.id == wanted and entry.is_decided:
                    return entry
            yield Pause(PAUSE_SECONDS)
        raise WaitTimedOut(f"{wanted} was not decided in {timeout_seconds:g} s; is a worker alive?")
