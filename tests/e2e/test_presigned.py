"""Uploads straight to the object store, through to verdicts."""

import pytest

from leaktrace.client import Client, Result, UploadFile
from tests.e2e.conftest import Service
from tests.e2e.pictures import encoded, photo


def submit_directly(client: Client, files: dict[str, bytes], *, sent: dict[str, bytes]) -> dict[str, Result]:
    """Announce `files`, post the bytes in `sent` instead where there are any, and wait for the results."""
    batch = client.create_batch("direct")
    announced = [UploadFile.from_bytes(content, custom_id=name) for name, content in files.items()]
    for file, target in client.announce(batch.id, announced):
        if target.status == "upload":
            content = sent.get(file.custom_id, files[file.custom_id])
            client.post(UploadFile.from_bytes(content, custom_id=file.custom_id), target)
    client.close(batch.id)
    client.wait(batch.id, timeout_seconds=120)
    return {found.custom_id: found for found in client.results(batch.id)}


@pytest.fixture(scope="module")
def results(service: Service) -> dict[str, Result]:
    """A good picture, one that is replaced on its way, and one that was cut short before it was announced."""
    files = {
        "good.png": encoded(photo(200), "PNG"),
        "swapped.png": encoded(photo(201), "PNG"),
        "truncated.jpg": encoded(photo(202), "JPEG")[:4000],
    }
    with service.client() as client:
        return submit_directly(client, files, sent={"swapped.png": encoded(photo(203), "PNG")})


def test_direct_upload_gets_a_verdict(results: dict[str, Result]) -> None:
    assert results["good.png"].attribution is not None


@pytest.mark.parametrize(
    ("name", "code"), [("swapped.png", "checksum_mismatch"), ("truncated.jpg", "truncated")]
)
def test_direct_upload_is_checked(results: dict[str, Result], name: str, code: str) -> None:
    error = results[name].error
    assert error is not None
    assert error.code == code


def test_known_bytes_are_not_sent_again(service: Service, results: dict[str, Result]) -> None:
    assert results
    with service.client() as client:
        batch = client.create_batch("again")
        known = UploadFile.from_bytes(encoded(photo(200), "PNG"), custom_id="again.png")
        ((_, target),) = client.announce(batch.id, [known])
    assert target.status == "present"
