"""A small stand-in for the service behind `httpx.MockTransport`: it keeps batches in memory and can be told to fail."""

import email.parser
import email.policy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from leaktrace.client import AsyncClient, Client, RetryRules

CREATED_AT = "2026-01-05T09:30:00Z"


@dataclass(frozen=True)
class ReceivedFile:
    """One part of a multipart request, as it arrived."""

    custom_id: str
    file_name: str
    sha256: str | None
    content: bytes


@dataclass
class FakeService:
    """Answers like the service. `failures` are answered first, one a request: a status, or an exception to raise."""

    failures: list[httpx.Response | Exception] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    files: dict[str, ReceivedFile] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=lambda: ["completed"])
    state: str = "uploading"
    page_size: int = 2
    ndjson: bytes | None = None
    waits: list[float] = field(default_factory=list)

    def client(self, **options: Any) -> Client:
        """A client whose waits are noted and not waited for."""
        clock = options.pop("clock", lambda: sum(self.waits))
        return Client(
            "http://service.test",
            "lk_live_test",
            http_transport=options.pop("http_transport", httpx.MockTransport(self.answer)),
            sleep=self.waits.append,
            clock=clock,
            rules=options.pop("rules", RetryRules()),
        )

    def async_client(self) -> AsyncClient:
        """The same for an event loop."""

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        return AsyncClient(
            "http://service.test",
            "lk_live_test",
            http_transport=httpx.MockTransport(self.answer),
            sleep=sleep,
            clock=lambda: sum(self.waits),
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One request, one answer."""
        request.read()
        self.requests.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        return self._route(request)

    def _route(self, request: httpx.Request) -> httpx.Response:
        *_, last = request.url.path.split("/")
        routes: dict[tuple[str, str], Callable[[httpx.Request], httpx.Response]] = {
            ("POST", "batches"): lambda _: httpx.Response(201, json=self.batch()),
            ("POST", "images"): self._take,
            ("POST", "close"): self._close,
            ("POST", "cancel"): self._cancel,
            ("GET", "b1"): self._poll,
            ("GET", "results"): self._results,
            ("DELETE", "b1"): lambda _: httpx.Response(204),
        }
        route = routes.get((request.method, last))
        return route(request) if route else problem(404, "route_not_found", "there is nothing here")

    def batch(self) -> dict[str, Any]:
        """The batch as JSON."""
        total = len(self.files)
        done = total if self.state == "completed" else 0
        counts = {"total": total, "succeeded": done, "pending": total - done}
        return {"id": "b1", "state": self.state, "counts": counts, "created_at": CREATED_AT, "name": "test"}

    def _close(self, _request: httpx.Request) -> httpx.Response:
        self.state = "queued"
        return httpx.Response(202, json=self.batch())

    def _cancel(self, _request: httpx.Request) -> httpx.Response:
        self.state = "cancelled"
        return httpx.Response(202, json=self.batch())

    def _poll(self, request: httpx.Request) -> httpx.Response:
        self.state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        etag = f'"{self.state}"'
        headers = {"ETag": etag, "Retry-After": "3"}
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304, headers=headers)
        return httpx.Response(200, json=self.batch(), headers=headers)

    def _take(self, request: httpx.Request) -> httpx.Response:
        answers = []
        for file in read_parts(request):
            known = self.files.setdefault(file.custom_id, file)
            status = "accepted" if known is file else "duplicate"
            answers.append(
                {
                    "custom_id": file.custom_id,
                    "status": status,
                    "item_id": f"i-{file.custom_id}",
                    "sha256": hashlib.sha256(file.content).hexdigest(),
                    "size_bytes": len(file.content),
                    "error": None,
                }
            )
        return httpx.Response(200, json={"data": answers})

    def _results(self, request: httpx.Request) -> httpx.Response:
        if request.url.params.get("format") == "ndjson":
            lines = self.ndjson if self.ndjson is not None else ndjson(self.results)
            return httpx.Response(200, content=lines)
        waiting = [_waiting(file) for file in self.files.values()] if self.state == "uploading" else []
        found = self.results or waiting
        start = int(request.url.params.get("cursor", 0))
        end = start + self.page_size
        following = str(end) if end < len(found) else None
        return httpx.Response(200, json={"data": found[start:end], "next_cursor": following})


def read_parts(request: httpx.Request) -> list[ReceivedFile]:
    """The files of a multipart request, read by the standard library's parser."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.content)
    return [
        ReceivedFile(
            custom_id=str(part["X-Custom-Id"]),
            file_name=str(part.get_filename()),
            sha256=part["X-Sha256"],
            content=part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def problem(status: int, code: str, detail: str, **headers: str) -> httpx.Response:
    """A refusal as the service writes it."""
    document = {"type": f"urn:{code}", "title": code, "status": status, "code": code, "detail": detail}
    document["request_id"] = "r1"
    return httpx.Response(
        status, json=document, headers={"content-type": "application/problem+json", **headers}
    )


def result(custom_id: str, **changes: Any) -> dict[str, Any]:
    """A succeeded result as JSON."""
    attribution = {
        "verdict": "generator",
        "generator": "sdxl-1.0",
        "p_value": 0.4,
        "smallest_p": 0.01,
        "alpha": 0.05,
        "reason": "it fits",
        "probabilities": {"sdxl-1.0": 0.9, "real": 0.1},
        "p_values": {"sdxl-1.0": 0.4, "real": 0.02},
        "explanation": {"steps": [{"timestep": 50, "attention": 0.6}]},
        "model_version": "starter-1",
        "density_version": "d1",
    } | changes.pop("attribution", {})
    base = {"type": "result", "item_id": "i", "batch_id": "b1", "custom_id": custom_id, "state": "succeeded"}
    return base | {"attribution": attribution} | changes


def _waiting(file: ReceivedFile) -> dict[str, Any]:
    sha256 = hashlib.sha256(file.content).hexdigest()
    image = {"id": f"image-{file.custom_id}", "sha256": sha256, "size_bytes": len(file.content)}
    return result(file.custom_id, state="pending") | {"attribution": None, "image": image}


def ndjson(results: list[dict[str, Any]], *, count: int | None = None) -> bytes:
    """The results as a stream with its end line."""
    lines = [*results, {"type": "end", "count": len(results) if count is None else count}]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
