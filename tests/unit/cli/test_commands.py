"""The commands as a user types them, against a stand-in for the service."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from leaktrace.cli import app, connection
from leaktrace.cli.journals import journal_path
from leaktrace.client import Client
from tests.unit.client.fake_service import FakeService, problem, result

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> FakeService:
    """A service that every command talks to."""
    fake = FakeService()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))

    def connect(_url: str | None, _key: str | None) -> Client:
        return fake.client()

    for module in ("submit", "status", "results", "cancel", "generators"):
        monkeypatch.setattr(f"leaktrace.cli.{module}.connect", connect)
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG + name.encode())
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_submit_sends_every_image(service: FakeService, folder: Path) -> None:
    assert run("submit", folder).exit_code == 0
    assert set(service.files) == {"a.png", "b.png"}


def test_submit_prints_summary(service: FakeService, folder: Path) -> None:
    service.results = [result("a.png"), result("b.png")]
    assert "sdxl-1.0" in run("submit", folder).stdout


def test_submit_without_wait_polls_nothing(service: FakeService, folder: Path) -> None:
    outcome = run("submit", folder, "--no-wait")
    assert outcome.exit_code == 0
    assert not [request for request in service.requests if request.method == "GET"]


def test_submit_of_nothing_fails(service: FakeService, tmp_path: Path) -> None:
    outcome = run("submit", tmp_path)
    assert outcome.exit_code == 1
    assert "there is no image in" in outcome.stderr
    assert service.requests == []


def test_submit_of_missing_folder_is_told(service: FakeService, tmp_path: Path) -> None:
    outcome = run("submit", tmp_path / "nowhere")
    assert outcome.exit_code == 1
    assert "is not there" in outcome.stderr
    assert service.requests == []


def test_cancelled_batch_fails_submit(service: FakeService, folder: Path) -> None:
    service.states = ["cancelled"]
    assert run("submit", folder).exit_code == 1


def test_resume_uses_the_batch(service: FakeService, folder: Path) -> None:
    service.states = ["uploading", "completed"]
    assert run("submit", folder, "--resume", "b1").exit_code == 0
    assert "POST /v1/batches" not in {f"{each.method} {each.url.path}" for each in service.requests}


@pytest.mark.parametrize(("option", "begun_anew"), [([], False), (["--new"], True)])
def test_broken_upload_is_gone_on_with(
    service: FakeService, folder: Path, option: list[str], begun_anew: bool
) -> None:
    service.states = ["uploading", "completed"]
    with service.client() as client:
        client.begin_submission([folder], journal=journal_path(client.url, [folder]))
    before = len(service.requests)
    outcome = run("submit", folder, *option)
    asked = {f"{each.method} {each.url.path}" for each in service.requests[before:]}
    assert (outcome.exit_code, set(service.files)) == (0, {"a.png", "b.png"})
    assert ("POST /v1/batches" in asked, "going on with" in outcome.stderr) == (begun_anew, not begun_anew)


@pytest.mark.usefixtures("service")
def test_status_shows_counts() -> None:
    assert "completed" in run("status", "b1").stdout


def test_results_are_saved_as_ndjson(service: FakeService, tmp_path: Path) -> None:
    service.results = [result("a.png")]
    run("results", "b1", "--format", "ndjson", "--out", tmp_path / "r")
    lines = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["result", "end"]


def test_results_are_valid_json(service: FakeService) -> None:
    service.results = [result(str(place)) for place in range(3)]
    assert len(json.loads(run("results", "b1", "--format", "json").stdout)) == 3


@pytest.mark.usefixtures("service")
def test_empty_results_are_valid_json() -> None:
    assert json.loads(run("results", "b1", "--format", "json").stdout) == []


def test_truncated_results_leave_no_file(service: FakeService, tmp_path: Path) -> None:
    service.ndjson = b'{"type": "result"}\n'
    outcome = run("results", "b1", "--format", "ndjson", "--out", tmp_path / "r")
    assert outcome.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_table_shows_no_escape_sequence(service: FakeService) -> None:
    service.results = [result("\x1b[31mred.png")]
    shown = run("results", "b1").stdout
    assert "\x1b" not in shown
    assert "\\x1b[31mred.png" in shown


@pytest.mark.usefixtures("service")
def test_table_to_file_is_wrong_usage(tmp_path: Path) -> None:
    assert run("results", "b1", "--out", tmp_path / "r").exit_code == 2


def test_refusal_is_told_without_traceback(service: FakeService) -> None:
    service.failures = [problem(401, "unauthenticated", "the API key is not valid")]
    outcome = run("status", "b1")
    assert outcome.exit_code == 1
    assert "the API key is not valid" in outcome.stderr
    assert "leaktrace keys create" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.usefixtures("service")
def test_cancel_tells_state() -> None:
    assert "cancelled" in run("cancel", "b1").stdout


def test_unknown_command_is_wrong_usage() -> None:
    assert run("frobnicate").exit_code == 2


def test_help_loads_nothing_heavy() -> None:
    show = "import sys, leaktrace.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", show], check=True, capture_output=True, text=True).stdout
    heavy = {"torch", "sqlalchemy", "httpx", "numpy", "jinja2", "deploy.embedded"}
    assert heavy & set(loaded.split()) == set()


def test_missing_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("status")
    assert outcome.exit_code == 1
    assert "make up" in outcome.stderr


def test_keys_need_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEAKTRACE_DATABASE_URL", raising=False)
    outcome = run("keys", "list", "--tenant", "x")
    assert outcome.exit_code == 1
    assert "LEAKTRACE_DATABASE_URL" in outcome.stderr


def write_credentials(folder: Path) -> None:
    (folder / ".leaktrace").mkdir()
    document = {"url": "http://127.0.0.1:9", "key": "lk_live_local"}
    (folder / connection.CREDENTIALS).write_text(json.dumps(document))


def test_credentials_are_found_above(tmp_path: Path) -> None:
    write_credentials(tmp_path)
    (tmp_path / "below").mkdir()
    with connection.connect(None, None, start=tmp_path / "below") as client:
        assert client.url == "http://127.0.0.1:9"


def test_local_key_goes_nowhere_else(tmp_path: Path) -> None:
    write_credentials(tmp_path)
    with pytest.raises(connection.NoCredentials, match="a key"):
        connection.connect("http://elsewhere.test", None, start=tmp_path)


def test_damaged_credentials_are_named(tmp_path: Path) -> None:
    write_credentials(tmp_path)
    (tmp_path / connection.CREDENTIALS).write_text("{")
    with pytest.raises(connection.NoCredentials, match=r"credentials\.json cannot be read"):
        connection.connect(None, None, start=tmp_path)
