"""The API keeps to its own description: schemathesis reads it and tries what it allows and what it forbids."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.records.keys import GRANTABLE_SCOPES
from tests.integration.api.service import MakeClient, complete_batch, picture, register_model

ROOT = Path(__file__).parents[3]
CONFIG = "tests/integration/api/schemathesis.toml"
ADMINISTRATION = "^/v1/(keys|tenants|audit|status)"


@pytest.fixture
def fuzzed_client(make_client: MakeClient, engine: Engine) -> httpx.Client:
    """Of a tenant that has one attributed image, on a service that is ready."""
    client = make_client(tenant="fuzzed")
    register_model(engine)
    complete_batch(client, engine, {"a.jpg": picture()})
    return client


def attributed_image_id(client: httpx.Client) -> str:
    batch: dict[str, Any] = client.get("/v1/batches").json()["data"][0]
    results = client.get(f"/v1/batches/{batch['id']}/results").json()
    return str(results["data"][0]["image"]["id"])


@pytest.mark.timeout(240)
def test_schemathesis_finds_nothing(fuzzed_client: httpx.Client) -> None:
    image_id = attributed_image_id(fuzzed_client)
    run = fuzz(fuzzed_client, "--exclude-path-regex", ADMINISTRATION, ATTRIBUTED_IMAGE_ID=image_id)
    assert run.returncode == 0, run.stdout[-20_000:]


@pytest.mark.timeout(240)
def test_administration_keeps_to_its_description(make_client: MakeClient) -> None:
    # By itself, because a tenant whose quota was set at random is refused elsewhere.
    client = make_client(tenant="fuzzed administrators", scopes=GRANTABLE_SCOPES)
    bounds = ("--max-examples", "10", "--phases", "examples,coverage,fuzzing")
    run = fuzz(client, "--include-path-regex", ADMINISTRATION, *bounds, ATTRIBUTED_IMAGE_ID="")
    assert run.returncode == 0, run.stdout[-20_000:]


def fuzz(client: httpx.Client, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Let schemathesis try the service with the client's key."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--no-color", "--config-file", CONFIG),
        *("run", f"{client.base_url}/openapi.json".replace("//openapi", "/openapi")),
        *("--checks", "all", "--header", f"Authorization: {client.headers['Authorization']}", *options),
    ]
    variables = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
