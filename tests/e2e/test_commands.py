"""The commands against a real service: what a user types after `make up`."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.e2e.conftest import Service
from tests.e2e.pictures import encoded, photo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures in two folders."""
    folder = tmp_path_factory.mktemp("holiday")
    (folder / "sea").mkdir()
    for seed, name in enumerate(("a.png", "b.png", "sea/c.png"), start=100):
        (folder / name).write_bytes(encoded(photo(seed), "PNG"))
    return folder


@pytest.fixture(scope="module")
def batch_id(service: Service, folder: Path) -> str:
    """A batch of them that was submitted and waited for."""
    finished = service.command("submit", folder)
    assert finished.exit_code == 0, finished.output
    return finished.output.split("batch ", 1)[1].split()[0]


def test_submitted_batch_completes(service: Service, batch_id: str) -> None:
    shown = service.command("status", batch_id).output
    assert "completed" in shown


def test_batches_are_listed(service: Service, batch_id: str) -> None:
    assert batch_id in service.command("status").output


def test_results_carry_relative_paths(service: Service, batch_id: str, tmp_path: Path) -> None:
    service.command("results", batch_id, "--format", "ndjson", "--out", tmp_path / "r.ndjson")
    lines = [json.loads(line) for line in (tmp_path / "r.ndjson").read_text().splitlines()]
    assert {line.get("custom_id") for line in lines[:-1]} == {"a.png", "b.png", "sea/c.png"}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_results_come_in_other_forms(service: Service, batch_id: str, tmp_path: Path, form: str) -> None:
    service.command("results", batch_id, "--format", form, "--out", tmp_path / "r")
    assert "sea/c.png" in (tmp_path / "r").read_text()


def test_results_are_shown_as_table(service: Service, batch_id: str) -> None:
    assert "sea/c.png" in service.command("results", batch_id).output


def test_archive_is_submitted(service: Service, folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
        archive.write(folder / "a.png", "in/a.png")
    assert service.command("submit", tmp_path / "holiday.zip").exit_code == 0


def test_open_batch_is_cancelled(service: Service) -> None:
    with service.client() as client:
        open_batch = client.create_batch("open")
    shown = service.command("cancel", open_batch.id)
    assert shown.exit_code == 0
    assert "cancel" in shown.output


def test_broken_upload_is_resumed(service: Service, folder: Path) -> None:
    with service.client() as client:
        open_batch = client.create_batch("resumed")
    finished = service.command("submit", folder, "--resume", open_batch.id)
    assert finished.exit_code == 0, finished.output


def test_generators_are_listed(service: Service, batch_id: str) -> None:
    assert batch_id
    assert "real" in service.command("generators", "list").output


def test_unknown_batch_is_told(service: Service) -> None:
    finished = service.command("status", "019ab1f0-5c3e-7a10-8d53-2f6b8c1e9a40")
    assert finished.exit_code == 1
    assert "Traceback" not in finished.output


def test_created_key_opens_the_service(service: Service) -> None:
    key = service.command("keys", "create", "--tenant", "new").output.split()[0]
    assert service.command("status", "--url", service.url, "--key", key).exit_code == 0


def test_revoked_key_opens_nothing(service: Service) -> None:
    key = service.command("keys", "create", "--tenant", "new").output.split()[0]
    service.command("keys", "revoke", key.split("_")[2])
    finished = service.command("status", "--url", service.url, "--key", key)
    assert finished.exit_code == 1
    assert "leaktrace keys create" in finished.output


def test_keys_are_listed_without_secrets(service: Service) -> None:
    key = service.command("keys", "create", "--tenant", "listed", "--name", "press").output.split()[0]
    shown = service.command("keys", "list", "--tenant", "listed").output
    _, _, public_id, secret = key.split("_", 3)
    assert public_id in shown
    assert secret not in shown


def test_webhook_is_made_tried_and_removed(service: Service) -> None:
    made = service.command(
        "webhooks", "create", "https://hooks.invalid/leaktrace", "--event", "batch.finished"
    )
    webhook_id = made.output.split("webhook ", 1)[1].split(";")[0]
    message_id = service.command("webhooks", "test", webhook_id).output.split()[-1]
    listed = service.command("webhooks", "list").output
    sent = service.command("webhooks", "deliveries", webhook_id).output
    replayed = service.command("webhooks", "replay", webhook_id, "--hours", "1")
    assert "whsec_" in made.output
    assert (webhook_id in listed, "whsec_" in listed, message_id[:4]) == (True, False, "msg_")
    assert "webhook.test" in sent
    assert (replayed.exit_code, "sent again" in replayed.output) == (0, True)
    assert service.command("webhooks", "delete", webhook_id).exit_code == 0
    assert service.command("webhooks", "show", webhook_id).exit_code == 1
