"""Models over HTTP: which there are, and what a card tells."""

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.records.database import transaction
from leaktrace.records.models import ModelVersion
from tests.integration.api.service import MODEL, register_model


@pytest.fixture(autouse=True)
def _model(engine: Engine) -> None:
    register_model(engine)
    with transaction(engine) as session:
        card = {"name": "test", "limits": ["one seed"], "golden": {"embeddings": [[0.5]]}}
        session.get_one(ModelVersion, MODEL).card = card


def test_serving_model_is_listed(client: httpx.Client) -> None:
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["version"], model["is_serving"], model["retired_at"]) == (MODEL, True, None)


def test_card_comes_without_vectors(client: httpx.Client) -> None:
    card = client.get(f"/v1/models/{MODEL}").json()["card"]
    assert card == {"name": "test", "limits": ["one seed"]}


def test_unknown_model_is_told(client: httpx.Client) -> None:
    answer = client.get("/v1/models/none")
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
