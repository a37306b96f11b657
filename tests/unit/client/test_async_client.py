"""The asynchronous client does over the same flows what the blocking one does."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest

from leaktrace.client import ApiProblem, AsyncClient, ResultsTruncated, UploadFile
from tests.unit.client.fake_service import FakeService, ndjson, problem, result

T = TypeVar("T")


def ask(service: FakeService, question: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """The answer to one question, by a client of its own."""

    async def run() -> T:
        async with service.async_client() as client:
            return await question(client)

    return asyncio.run(run())


def test_broken_connection_is_retried() -> None:
    service = FakeService(failures=[httpx.ReadError("cut"), httpx.Response(503)])
    batch = ask(service, lambda client: client.create_batch("x"))
    keys = {request.headers["idempotency-key"] for request in service.requests}
    assert (batch.id, len(service.requests), len(keys)) == ("b1", 3, 1)


def test_refusal_is_raised() -> None:
    with pytest.raises(ApiProblem, match="no such batch"):
        ask(FakeService(failures=[problem(404, "x", "no such batch")]), lambda client: client.batch("b1"))


def test_files_arrive_whole() -> None:
    service = FakeService(failures=[httpx.WriteError("cut")])
    files = [UploadFile.from_bytes(b"content %d" % place, custom_id=str(place)) for place in range(100)]

    async def upload(client: AsyncClient) -> set[str]:
        return {answer.status async for answer in client.upload("b1", files, parallel=3)}

    assert ask(service, upload) == {"accepted"}
    assert {name: file.content for name, file in service.files.items()} == {
        str(place): b"content %d" % place for place in range(100)
    }


def test_hashing_leaves_the_loop_free() -> None:
    hashed_by: set[int] = set()

    class Watched(UploadFile):
        def sha256(self) -> str:
            hashed_by.add(threading.get_ident())
            return super().sha256()

    file = Watched("a", "a", 1, UploadFile.from_bytes(b"x", custom_id="a").open)

    async def upload(client: AsyncClient) -> int:
        return len([answer async for answer in client.upload("b1", [file])])

    assert ask(FakeService(), upload) == 1
    assert threading.get_ident() not in hashed_by


def test_reader_that_turns_away_ends_upload() -> None:
    service, taken = FakeService(), 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield UploadFile.from_bytes(b"x", custom_id=str(taken))

    async def upload(client: AsyncClient) -> None:
        answers = client.upload("b1", endless(), parallel=2)  # type: ignore[arg-type]
        await anext(answers)
        await answers.aclose()  # type: ignore[attr-defined]

    ask(service, upload)
    assert taken < 32 * 12


def test_pages_are_joined() -> None:
    async def read(client: AsyncClient) -> list[str]:
        return [found.custom_id async for found in client.results("b1")]

    service = FakeService(results=[result(str(place)) for place in range(5)])
    assert ask(service, read) == ["0", "1", "2", "3", "4"]


def test_cut_stream_is_noticed() -> None:
    async def read(client: AsyncClient) -> list[str]:
        return [found.custom_id async for found in client.stream_results("b1")]

    assert ask(FakeService(results=[result("a")]), read) == ["a"]
    with pytest.raises(ResultsTruncated):
        ask(FakeService(ndjson=ndjson([result("a")])[:-10]), read)


def test_wait_tells_progress() -> None:
    service = FakeService(states=["queued", "in_progress", "completed"])
    seen: list[str] = []
    batch = ask(service, lambda client: client.wait("b1", on_progress=lambda one: seen.append(one.state)))
    assert (batch.state, seen, service.waits) == ("completed", ["queued", "in_progress", "completed"], [3, 3])
