"""Folders become batches; a submission that broke off goes on, and sends only what has not arrived."""

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from leaktrace.client import ApiProblem, Submission
from leaktrace.client.arrivals import Arrived
from leaktrace.client.journal import JournalUnusable
from leaktrace.client.sources import NoSource
from tests.unit.client.fake_service import FakeService, problem, read_parts

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A hundred images."""
    made = tmp_path / "photos"
    made.mkdir()
    for place in range(100):
        (made / f"{place:03}.png").write_bytes(PNG + b"%d" % place)
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "state" / "photos.json"


def break_off(service: FakeService, folder: Path, journal: Path) -> None:
    """Submit, and lose the service for good after two groups of files."""
    groups = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal groups
        groups += request.url.path.endswith("/images")
        return problem(500, "internal", "gone") if groups > 2 else service.answer(request)

    client = service.client(http_transport=httpx.MockTransport(answer))
    with pytest.raises(ApiProblem, match="gone"):
        client.submit_folder(folder, journal=journal, parallel=1)


def sent_by(service: FakeService, first_request: int) -> set[str]:
    """The custom ids of the files in all requests from that one on."""
    uploads = [r for r in service.requests[first_request:] if r.url.path.endswith("/images")]
    return {part.custom_id for request in uploads for part in read_parts(request)}


def test_folder_becomes_closed_batch(folder: Path) -> None:
    service = FakeService()
    submission = service.client().submit_folder(folder)
    assert (submission.batch.state, submission.accepted, len(service.files)) == ("queued", 100, 100)


def test_only_the_rest_is_sent(folder: Path, journal: Path) -> None:
    service = FakeService(states=["uploading"], page_size=7)
    break_off(service, folder, journal)
    there, before = set(service.files), len(service.requests)
    submission = service.client().submit_folder(folder, journal=journal)
    assert (len(there), len(service.files), submission.accepted) == (64, 100, 100)
    assert sent_by(service, before) == set(service.files) - there


def test_event_loop_goes_on_likewise(folder: Path, journal: Path) -> None:
    service = FakeService(states=["uploading"])
    break_off(service, folder, journal)
    there, before = set(service.files), len(service.requests)

    async def go_on() -> Submission:
        async with service.async_client() as client:
            return await client.submit_folder(folder, journal=journal)

    assert asyncio.run(go_on()).begun_before
    assert sent_by(service, before) == set(service.files) - there


def test_network_cuts_lose_nothing(folder: Path) -> None:
    service, dice = FakeService(), random.Random(7)

    def answer(request: httpx.Request) -> httpx.Response:
        answered = service.answer(request)  # the request may have arrived although its answer did not
        if dice.random() < 0.3:
            raise httpx.ReadError("cut")
        return answered

    client = service.client(http_transport=httpx.MockTransport(answer))
    submission = client.submit_folder(folder)
    assert (submission.accepted, len(service.files), submission.refused) == (100, 100, [])


def test_journal_ends_with_the_upload(folder: Path, journal: Path) -> None:
    service = FakeService(states=["uploading"])
    break_off(service, folder, journal)
    assert journal.is_file()
    service.client().submit_folder(folder, journal=journal)
    assert list(journal.parent.iterdir()) == []


@pytest.mark.parametrize("state", ["expired", "cancelled", "deleting"])
def test_batch_that_ended_is_begun_anew(folder: Path, journal: Path, state: str) -> None:
    service = FakeService(states=[state])
    break_off(service, folder, journal)
    service.state = "uploading"
    assert not service.client().submit_folder(folder, journal=journal).begun_before


def test_handed_over_batch_is_not_filled(folder: Path, journal: Path) -> None:
    service = FakeService(states=["in_progress"])
    break_off(service, folder, journal)
    before = len(service.requests)
    submission = service.client().submit_folder(folder, journal=journal)
    assert (submission.batch.state, sent_by(service, before), journal.exists()) == (
        "in_progress",
        set(),
        False,
    )


def test_changed_file_is_sent_and_judged(folder: Path, journal: Path) -> None:
    service = FakeService(states=["uploading"])
    break_off(service, folder, journal)
    before = len(service.requests)
    (folder / "000.png").write_bytes(PNG + b"another")
    service.client().submit_folder(folder, journal=journal)
    assert "000.png" in sent_by(service, before)


def test_journal_of_another_folder_is_refused(folder: Path, journal: Path, tmp_path: Path) -> None:
    service = FakeService(states=["uploading"])
    break_off(service, folder, journal)
    with pytest.raises(JournalUnusable, match="name another journal"):
        service.client().submit_folder(tmp_path, journal=journal)


def test_missing_folder_sends_nothing(tmp_path: Path) -> None:
    service = FakeService()
    with pytest.raises(NoSource):
        service.client().submit_folder(tmp_path / "nowhere")
    assert service.requests == []


def test_arrival_means_id_and_content() -> None:
    arrived = Arrived([("a/b", "01")])
    assert [arrived.holds(*file) for file in (("a/b", "01"), ("a/b", "02"), ("b", "01"))] == [
        True,
        False,
        False,
    ]
