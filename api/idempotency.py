"""Idempotency-Key: a creating request that is sent twice with one key is carried out once and answered alike.

The stored answer is committed together with the work, sealed where there are keys for it, since it may hold a secret.
Knows nothing of what the work is.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json
from sqlalchemy.orm import Session

from api.dependencies import GivenServices
from leaktrace.records.database import transaction
from leaktrace.records.idempotency import KeyedRequest, StoredAnswer, find_answer, store_answer
from leaktrace.records.keys import Caller


@dataclass(frozen=True)
class Answer:
    """What a creating route answers."""

    status: int
    body: BaseModel
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyedCall:
    """A request that asks for something to be done, with the key under which it may come again."""

    request: Request
    services: GivenServices
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]*$",
            description="Any text of your own, new for each new request. Repeating a request with its key is safe.",
        ),
    ] = None

    def answer_once(
        self, caller: Caller, payload: BaseModel, *, work: Callable[[Session], Answer]
    ) -> Response:
        """Run `work` in one transaction, unless this call has been answered before."""
        with transaction(self.services.engine) as session:
            if self.key is None:
                answer = work(session)
                return _response(answer.status, answer.body.model_dump(mode="json"), answer.headers)
            keyed = self._keyed(caller, payload, key=self.key)
            stored = find_answer(session, keyed)
            if stored is not None:
                body = self.services.seal.open_document(stored.body)
                return _response(stored.status, body, {**stored.headers, "Idempotency-Replayed": "true"})
            answer = work(session)
            body = answer.body.model_dump(mode="json")
            store_answer(
                session,
                keyed,
                answer=StoredAnswer(
                    status=answer.status,
                    headers=dict(answer.headers),
                    body=self.services.seal.seal_document(body),
                ),
                keep_hours=self.services.settings.idempotency_keep_hours,
            )
        return _response(answer.status, body, answer.headers)

    def _keyed(self, caller: Caller, payload: BaseModel, *, key: str) -> KeyedRequest:
        """The records' view of it; the payload counts as parsed, so white space and field order do not."""
        return KeyedRequest(
            tenant_id=caller.tenant_id,
            route=f"{self.request.method} {self.request.url.path}",
            key=key,
            payload_sha256=hashlib.sha256(payload.model_dump_json().encode()).hexdigest(),
        )


GivenCall = Annotated[KeyedCall, Depends()]


def _response(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(to_json(body), status, headers=dict(headers), media_type="application/json")
