"""Models over HTTP: which there are, and what a card tells."""

import httpx
import pytest
from sqlalchemy import Engine

from api.console.drift import read_drift
from leaktrace.records.database import transaction
from leaktrace.records.drift import record_drift
from leaktrace.records.keys import GRANTABLE_SCOPES
from leaktrace.records.models import ModelVersion
from tests.integration.api.service import DENSITY, MODEL, MakeClient, register_model


def look(engine: Engine, effect: float) -> None:
    """One look at drift, with what one test found."""
    finding = {"kind": "rate", "subject": "unseen", "effect": effect, "bound": 0.05, "p_value": 1e-6}
    finding |= {"images": 800, "compared_with": 2000, "alarm": effect > 0.05, "reason": "unseen went up"}
    with transaction(engine) as session:
        record_drift(session, MODEL, density_version=DENSITY, findings=[finding], details={})


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


def test_drift_is_drawn_from_look_to_look(engine: Engine) -> None:
    with transaction(engine) as session:
        assert read_drift(session, MODEL) is None
    for effect in (0.01, 0.1, 0.02):
        look(engine, effect)
    with transaction(engine) as session:
        drift = read_drift(session, MODEL)
    assert drift is not None
    (series,) = drift.series
    assert (series.title, series.alarms, series.newest.effect) == ("share of answers: unseen", 1, 0.02)
    assert len(series.curve.points.split()) == 3


def test_drift_is_an_alarm_of_the_system(make_client: MakeClient, engine: Engine) -> None:
    admin = make_client(tenant="operators", scopes=GRANTABLE_SCOPES)
    for effect, alarms in ((0.1, ["Images do not look as they did: unseen went up."]), (0.01, [])):
        look(engine, effect)
        found = admin.get("/v1/status").json()["alarms"]
        assert [one["detail"] for one in found if one["name"] == "drift"] == alarms
