"""The API keeps to its own description: schemathesis reads it and tries what it allows and what it forbids."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.integration.api.service import (
    MakeClient,
    attribute_batch,
    create_batch,
    picture,
    register_model,
    upload,
)

ROOT = Path(__file__).parents[3]
CONFIG = "tests/integration/api/schemathesis.toml"


@pytest.fixture
def fuzzed_client(make_client: MakeClient, engine: Engine) -> httpx.Client:
    """Of a tenant that has one attributed image, on a service that is ready."""
    client = make_client(tenant="fuzzed")
    register_model(engine)
    batch_id = create_batch(client)
    upload(client, batch_id, {"a.jpg": picture()})
    client.post(f"/v1/batches/{batch_id}/close")
    attribute_batch(engine, batch_id)
    return client


def attributed_image_id(client: httpx.Client) -> str:
    batch: dict[str, Any] = client.get("/v1/batches").json()["data"][0]
    results = client.get(f"/v1/batches/{batch['id']}/results").json()
    return str(results["data"][0]["image"]["id"])


@pytest.mark.timeout(240)
def test_schemathesis_finds_nothing(fuzzed_client: httpx.Client) -> None:
    environment = {
        **os.environ,
        "ATTRIBUTED_IMAGE_ID": attributed_image_id(fuzzed_client),
        "PYTHONPATH": str(ROOT),
    }
    key = fuzzed_client.headers["Authorization"]
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--no-color", "--config-file", CONFIG),
        *("run", f"{fuzzed_client.base_url}/openapi.json".replace("//openapi", "/openapi")),
        *("--checks", "all", "--header", f"Authorization: {key}"),
    ]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-20_000:]
