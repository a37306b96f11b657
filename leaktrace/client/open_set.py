"""What a user does about generators that the model does not know: look at candidates, name them, take it back.

A part of the client, reached as `client.open_set`; it speaks through the client's own transport.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from leaktrace.client.answers import Candidate, Density, Enrolment, read_answer
from leaktrace.client.errors import WaitTimedOut
from leaktrace.client.open_set_answers import DriftReport, Refit, ShadowImage, ShadowReport
from leaktrace.client.polling import page_params
from leaktrace.client.transport import Transport, json_of

PAUSE_SECONDS = 1.0


class OpenSet:
    """Candidates, enrolments and densities of the key's tenant."""

    def __init__(
        self,
        transport: Transport,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport, self._sleep, self._clock = transport, sleep, clock

    def candidates(self) -> list[Candidate]:
        """Groups among the tenant's unseen images that may be generators without a name, the surest first."""
        return [read_answer(Candidate, entry) for entry in self._read("/v1/generators/candidates")]

    def medoid(self, candidate_id: str, number: int = 0) -> bytes:
        """A thumbnail (JPEG) of a candidate's most typical images; 0 is the most typical of all."""
        path = f"/v1/generators/candidates/{candidate_id}/medoids/{number}"
        return self._transport.request("GET", path).content

    def enrol_candidate(self, candidate_id: str, name: str, *, reason: str) -> Enrolment:
        """Name the generator of a candidate's images."""
        body = {"of": "candidate", "name": name, "candidate_id": candidate_id, "reason": reason}
        return self._ask("/v1/generators", body)[0]

    def enrol_batch(self, batch_id: str, name: str, *, reason: str) -> Enrolment:
        """Name the generator that made all images of a batch, at least 50."""
        body = {"of": "batch", "name": name, "batch_id": batch_id, "reason": reason}
        return self._ask("/v1/generators", body)[0]

    def merge(self, name: str, *, into: str, reason: str) -> Enrolment:
        """Make an enrolled generator part of another one."""
        return self._ask(f"/v1/generators/{name}/merge", {"into": into, "reason": reason})[0]

    def split(self, name: str, image_ids: Sequence[str], *, new_name: str, reason: str) -> list[Enrolment]:
        """Make some images of an enrolled generator another one."""
        body = {"new_name": new_name, "image_ids": list(image_ids), "reason": reason}
        return self._ask(f"/v1/generators/{name}/split", body)

    def undo(self, name: str, *, reason: str) -> Enrolment:
        """Take an enrolled generator back."""
        return self._ask(f"/v1/generators/{name}/undo", {"reason": reason})[0]

    def enrolments(self) -> list[Enrolment]:
        """What was asked for and what became of it, the newest first."""
        return [read_answer(Enrolment, entry) for entry in self._read("/v1/generators/enrolments")]

    def wait(self, enrolment_id: str, *, timeout_seconds: float = 60.0) -> Enrolment:
        """The enrolment, once a worker has decided it.

        Raises:
            WaitTimedOut: no worker has decided it in time.
        """
        deadline = self._clock() + timeout_seconds
        while self._clock() < deadline:
            for enrolment in self.enrolments():
                if enrolment.id == enrolment_id and enrolment.is_decided:
                    return enrolment
            self._sleep(PAUSE_SECONDS)
        raise WaitTimedOut(
            f"enrolment {enrolment_id} was not decided in {timeout_seconds:g} s; is a worker alive?"
        )

    def densities(self) -> list[Density]:
        """Density versions for everybody and the tenant's own, the newest first."""
        return [read_answer(Density, entry) for entry in self._read("/v1/density")]

    def promote(self, name: str, *, reason: str) -> Enrolment:
        """Make a generator that the tenant enrolled everybody's; needs the scope service:admin."""
        return self._ask(f"/v1/generators/{name}/promote", {"reason": reason})[0]

    def demote(self, name: str, *, reason: str) -> Enrolment:
        """Take a promotion back; needs the scope service:admin."""
        return self._ask(f"/v1/generators/{name}/demote", {"reason": reason})[0]

    def refits(self) -> list[Refit]:
        """The looks at the density for everybody, the newest first, also those that changed nothing."""
        return [read_answer(Refit, entry) for entry in self._read("/v1/density/refits")]

    def ask_refit(self, *, reason: str) -> Refit:
        """Have the density for everybody fitted again now; needs the scope service:admin."""
        return read_answer(Refit, json_of(self._send("/v1/density/refits", {"reason": reason})))

    def promote_density(self, version: str, *, reason: str) -> Refit:
        """Let a density in shadow, or one that answered before, answer everybody; needs the scope service:admin."""
        path = f"/v1/density/{version}/promote"
        return read_answer(Refit, json_of(self._send(path, {"reason": reason})))

    def wait_for_refit(self, refit_id: str, *, timeout_seconds: float = 60.0) -> Refit:
        """The refit or promotion that was asked for, once a worker has decided it.

        Raises:
            WaitTimedOut: no worker has decided it in time.
        """
        deadline = self._clock() + timeout_seconds
        while self._clock() < deadline:
            for refit in self.refits():
                if refit.id == refit_id and refit.is_decided:
                    return refit
            self._sleep(PAUSE_SECONDS)
        raise WaitTimedOut(f"{refit_id} was not decided in {timeout_seconds:g} s; is a worker alive?")

    def drift(self) -> DriftReport:
        """The newest look at whether images still look as they did, with its alarms."""
        return read_answer(DriftReport, json_of(self._transport.request("GET", "/v1/drift")))

    def shadow(self, version: str) -> ShadowReport:
        """How often a density in shadow would answer the tenant's images otherwise."""
        return read_answer(
            ShadowReport, json_of(self._transport.request("GET", f"/v1/density/{version}/shadow"))
        )

    def shadow_images(self, version: str, *, changed: bool = True) -> Iterator[ShadowImage]:
        """The tenant's images that a density in shadow would answer otherwise, or all it judged, the newest first."""
        path, cursor = f"/v1/density/{version}/shadow/images", None
        while True:
            params = page_params(changed=str(changed).lower(), cursor=cursor)
            page = json_of(self._transport.request("GET", path, params=params))
            yield from (read_answer(ShadowImage, entry) for entry in page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def roll_back(self, *, reason: str, shared: bool = False) -> str | None:
        """Go back to the density before; returns it, or None where everybody's judges the tenant's images again.

        `shared` does so for everybody and needs the scope service:admin.
        """
        body = {"reason": reason, "scope": "shared" if shared else "own"}
        document = json_of(self._send("/v1/density/rollback", body))
        version = document["version"]
        return None if version is None else str(version)

    def _ask(self, path: str, body: dict[str, Any]) -> list[Enrolment]:
        return [read_answer(Enrolment, entry) for entry in json_of(self._send(path, body))["data"]]

    def _read(self, path: str) -> list[Any]:
        return list(json_of(self._transport.request("GET", path)).get("data", []))

    def _send(self, path: str, body: dict[str, Any]) -> Any:
        return self._transport.request("POST", path, json=body, headers={"Idempotency-Key": str(uuid4())})
