"""docker-compose.yml and the Dockerfile agree with the embedded stack, which takes no engine to see."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import commands
from deploy.embedded.stack import SERVER_VARIABLES, settings_from
from deploy.embedded.valkey import CONFIGURATION
from leaktrace.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
ENVIRONMENT_EXAMPLE = ROOT / "deploy" / "compose.env.example"
VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")
OWN_SERVICES = ["migrate", "api", "beat", "worker", "worker-gpu"]
API_COMMAND = ["python", *commands.api(host="0.0.0.0", port=8471)]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    """The variables of the example file, as `docker compose --env-file` reads them."""
    lines = [line for line in ENVIRONMENT_EXAMPLE.read_text().splitlines() if line and line[0] != "#"]
    return dict(line.split("=", 1) for line in lines)


def test_file_follows_compose_schema() -> None:
    check = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    result = subprocess.run(check, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("migrate", ["python", *commands.migrate()]),
        ("api", API_COMMAND),
        ("worker", ["python", *commands.worker()]),
        ("worker-gpu", ["python", *commands.worker()]),
        ("beat", ["python", *commands.beat(schedule=Path("/var/lib/leaktrace/beat-schedule"))]),
    ],
)
def test_command_is_the_stacks(services: dict[str, Any], service: str, command: list[str]) -> None:
    assert services[service]["command"] == command


def test_image_runs_the_api(services: dict[str, Any]) -> None:
    last = DOCKERFILE.read_text().strip().splitlines()[-1]
    assert yaml.safe_load(last.removeprefix("CMD ")) == services["api"]["command"]


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_every_variable_is_a_setting(services: dict[str, Any], service: str) -> None:
    named = {name.removeprefix("LEAKTRACE_").lower() for name in services[service]["environment"]}
    assert named <= set(Settings.model_fields)


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_service_names_every_server(services: dict[str, Any], service: str) -> None:
    assert set(SERVER_VARIABLES) <= set(services[service]["environment"])


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_environment_makes_settings(services: dict[str, Any], service: str) -> None:
    environment = {name: _filled(value) for name, value in services[service]["environment"].items()}
    assert settings_from(environment).s3_bucket == "leaktrace"


def test_example_lists_every_variable(example: dict[str, str]) -> None:
    assert {match[1] for match in VARIABLE.finditer(COMPOSE.read_text())} == set(example)


def test_empty_secrets_fail_loudly(example: dict[str, str]) -> None:
    """Every use of a variable that the example leaves empty, but for the choice of torch, demands a value."""
    uses = [match for match in VARIABLE.finditer(COMPOSE.read_text()) if match[1] in example]
    quiet = {match[1] for match in uses if not example[match[1]] and match[2] != ":?"}
    assert quiet == {"TORCH_SPEC", "TORCH_INDEX_URL", "GPU_TORCH_SPEC", "GPU_TORCH_INDEX_URL"}


def test_only_the_api_is_published(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:${API_PORT:-8471}:8471"]}


def test_every_lasting_service_is_watched(services: dict[str, Any]) -> None:
    unwatched = {name for name, service in services.items() if "healthcheck" not in service}
    assert unwatched == {"migrate"}


def test_object_store_is_closed(services: dict[str, Any]) -> None:
    assert set(commands.OBJECT_STORE_OPTIONS) <= set(services["objects"]["command"])
    assert set(commands.OBJECT_STORE_SIGNING_KEYS) == set(services["objects"]["environment"])


def test_broker_keeps_and_never_evicts() -> None:
    content = yaml.safe_load(COMPOSE.read_text())["configs"]["broker"]["content"]
    embedded = [
        line for line in CONFIGURATION.splitlines() if "{" not in line and not line.startswith("bind")
    ]
    assert [line for line in embedded if line not in content.splitlines()] == []


def test_broker_and_objects_have_data(services: dict[str, Any]) -> None:
    volumes = {name: services[name]["volumes"] for name in ("postgres", "broker", "objects")}
    assert volumes == {
        "postgres": ["postgres:/var/lib/postgresql"],
        "broker": ["broker:/data"],
        "objects": ["objects:/data"],
    }


def test_gpu_worker_needs_its_profile(services: dict[str, Any]) -> None:
    with_profile = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    assert with_profile == {"worker-gpu": ["gpu"]}


def test_copied_sources_exist() -> None:
    sources = [source for line in _copies() for source in line[1:-1]]
    assert "pyproject.toml" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_copied_sources_reach_the_engine() -> None:
    admitted = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert {source for line in _copies() for source in line[1:-1]} == admitted


def test_image_has_every_package() -> None:
    """The packages that pyproject.toml installs are the folders that the Dockerfile copies."""
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    packages = {pattern.removesuffix("*") for pattern in find["include"]}
    assert packages <= {source for line in _copies() for source in line[1:-1]}


def test_image_runs_as_normal_user() -> None:
    assert re.search(r"^USER leaktrace$", DOCKERFILE.read_text(), re.MULTILINE)


def _copies() -> list[list[str]]:
    """The words of each COPY from the repository."""
    lines = [shlex.split(line) for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")]
    return [words for words in lines if not words[1].startswith("--from")]


def _filled(value: str) -> str:
    return VARIABLE.sub(lambda match: match[3] if match[2] == ":-" else "given", str(value))
