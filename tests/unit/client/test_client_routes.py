"""Each operation of the service's description has a method of the client, which asks and reads as it is described."""

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import jsonschema
import pytest

from leaktrace.client import Client, ReportTruncated, UploadFile, WaitTimedOut
from leaktrace.client.methods import Part, iterated, shared
from tests.unit.api.asking import offline_app

DOCUMENT: dict[str, Any] = offline_app().openapi()
OPERATIONS = {
    (method.upper(), path): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if path.startswith("/v1/")
}
FILES = [UploadFile.from_bytes(b"x", custom_id=name) for name in ("a.png", "b.png")]
ID = "019ab1f0-5c3e-7a10-8d53-2f6b8c1e9a40"
NOW = datetime(2026, 1, 5, tzinfo=UTC)
# What a method is given for a parameter of that name, unless its default will do.
GIVEN: dict[str, Any] = {
    "address": "https://hooks.example.com/", "choice": {"batch_id": ID}, "enabled": True, "expected": 1,
    "files": FILES[:1], "form": "ndjson", "image_ids": [ID], "into": "flux.2", "key_id": "0123456789abcdef",
    "kind": "correct", "name": "flux.1", "new_name": "flux.3", "number": 0, "reason": "seen", "since": NOW,
    "url": "https://hooks.example.com/", "version": "starter-1", "daily_image_quota": 10,
}  # fmt: skip
PARTS = ("open_set", "rescoring", "webhooks", "review", "administration")
# Made of several requests, each of which has a method of its own.
COMPOSED = {"submit_folder", "begin_submission", "fill_submission", "post", "wait_until_deleted"}


@dataclass
class DescribedService:
    """Answers every operation with its example, once the request is as described; remembers the operations."""

    asked: set[tuple[str, str]] = field(default_factory=set)

    def answer(self, request: httpx.Request) -> httpx.Response:
        operation = next(
            one for one in OPERATIONS if one[0] == request.method and _matches(one[1], request.url.path)
        )
        self.asked.add(operation)
        described = OPERATIONS[operation]
        _check_query(request, described)
        _check_body(request, described)
        status = next(status for status in described["responses"] if status.startswith("2"))
        contents = described["responses"][status].get("content", {})
        accepted = request.headers.get("accept", "")
        content = contents.get(accepted) or next(iter(contents.values()), {})
        example = _example(content)
        if isinstance(example, str):
            return httpx.Response(int(status), text=example)
        return httpx.Response(int(status), json=_last_page(example))


def methods() -> Iterator[tuple[str, str]]:
    """Each part of the client with each of its methods."""
    client = Client("http://service.test", "lk_live_test")
    parts = {"": client, **{name: getattr(client, name) for name in PARTS}}
    for part, found in parts.items():
        assert isinstance(found, Part)
        for name in dir(type(found)):
            if isinstance(inspect.getattr_static(type(found), name), shared | iterated):
                yield part, name
    client.disconnect()


METHODS = sorted(set(methods()))


def call(service: DescribedService, part: str, name: str) -> None:
    """Call one method with what it needs, and read all that it gives."""
    transport = httpx.MockTransport(service.answer)
    clock = iter(range(10_000))
    client = Client(
        *("http://service.test", "lk_live_test"),
        http_transport=transport,
        sleep=lambda _seconds: None,
        clock=lambda: float(next(clock)),
    )
    with client:
        method = getattr(getattr(client, part) if part else client, name)
        parameters = inspect.signature(method).parameters.values()
        needed = {
            one.name: GIVEN.get(one.name, ID) for one in parameters if one.default is inspect.Parameter.empty
        }
        needed |= {"update": {"enabled": True}, "upload": {"files": FILES}}.get(name, {})
        if "timeout_seconds" in inspect.signature(method).parameters:
            needed |= {"timeout_seconds": 3.0}
        with suppress(WaitTimedOut, ReportTruncated):  # the example shows a part, or what is not decided yet
            found = method(**needed)
            if isinstance(found, Iterator):
                list(found)


@pytest.mark.parametrize(("part", "name"), [one for one in METHODS if one[1] not in COMPOSED])
def test_method_is_as_described(part: str, name: str) -> None:
    service = DescribedService()
    call(service, part, name)
    assert len(service.asked) == 1


def test_every_operation_has_a_method() -> None:
    service = DescribedService()
    for part, name in METHODS:
        if name not in COMPOSED:
            call(service, part, name)
    assert set(OPERATIONS) - service.asked == set()


def _matches(template: str, path: str) -> bool:
    pattern = re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(template))
    exact = not any(one != template and one == path for _, one in OPERATIONS)
    return exact and re.fullmatch(pattern, path) is not None


def _check_query(request: httpx.Request, described: dict[str, Any]) -> None:
    known = {one["name"] for one in described.get("parameters", []) if one["in"] == "query"}
    assert set(request.url.params) <= known


def _check_body(request: httpx.Request, described: dict[str, Any]) -> None:
    content = described.get("requestBody", {}).get("content", {}).get("application/json")
    sent = request.headers.get("content-type", "")
    if content is None:
        assert not sent.startswith("application/json")
        return
    body = httpx.Response(200, content=request.read()).json()
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    jsonschema.validate(body, schema, cls=jsonschema.Draft202012Validator)


def _example(content: dict[str, Any]) -> Any:
    if "example" in content:
        return content["example"]
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema.get("examples", [None])[0]


def _last_page(example: Any) -> Any:
    return (
        {**example, "next_cursor": None}
        if isinstance(example, dict) and "next_cursor" in example
        else example
    )
