"""People's labels: what they say is kept, shown at once beside the model's answer, and never changes it."""

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from leaktrace.records.database import transaction
from tests.integration.api.service import MakeClient, complete_batch, picture, register_model

CORRECTION = {"kind": "correct", "generator": "sdxl-1.0", "reason": "the author told us"}


def attributed(client: httpx.Client, engine: Engine, *, seed: int) -> dict[str, Any]:
    """The result of one image in a new batch."""
    register_model(engine)
    batch_id = complete_batch(client, engine, {"a.jpg": picture(seed)})
    result: dict[str, Any] = client.get(f"/v1/batches/{batch_id}/results").json()["data"][0]
    return result


def say(client: httpx.Client, result: dict[str, Any], body: dict[str, Any]) -> httpx.Response:
    return client.post(f"/v1/images/{result['image']['id']}/labels", json=body)


def test_correction_shows_in_next_batch(client: httpx.Client, engine: Engine) -> None:
    first = attributed(client, engine, seed=1)
    assert say(client, first, CORRECTION).status_code == 201
    again = attributed(client, engine, seed=1)
    assert (again["label"]["generator"], again["label"]["reason"]) == ("sdxl-1.0", "the author told us")
    assert again["attribution"]["generator"] == first["attribution"]["generator"] == "sd-2.1"


def test_correction_stays_with_tenant(client: httpx.Client, make_client: MakeClient, engine: Engine) -> None:
    say(client, attributed(client, engine, seed=2), CORRECTION)
    assert attributed(make_client(tenant="rival"), engine, seed=2)["label"] is None


def test_newest_judgement_answers_appeal(client: httpx.Client, engine: Engine) -> None:
    result = attributed(client, engine, seed=3)
    say(client, result, {"kind": "appeal", "reason": "this is my own photograph"})
    assert attributed(client, engine, seed=3)["appeal"]["reason"] == "this is my own photograph"
    say(client, result, {"kind": "correct", "generator": "real", "reason": "the camera's raw file fits"})
    after = attributed(client, engine, seed=3)
    assert (after["appeal"], after["label"]["generator"]) == (None, "real")


def test_history_keeps_every_label(client: httpx.Client, engine: Engine) -> None:
    result = attributed(client, engine, seed=4)
    for body in ({"kind": "confirm", "reason": "seen"}, CORRECTION):
        say(client, result, body)
    history = client.get(f"/v1/images/{result['image']['id']}/labels").json()["data"]
    assert [(one["kind"], one["generator"], one["verdict"]) for one in history] == [
        ("correct", "sdxl-1.0", "generator"),
        ("confirm", "sd-2.1", "generator"),
    ]


def test_strangers_image_is_unknown(client: httpx.Client, make_client: MakeClient, engine: Engine) -> None:
    theirs = attributed(make_client(tenant="rival"), engine, seed=5)
    answer = say(client, theirs, CORRECTION)
    assert (answer.status_code, answer.json()["code"]) == (404, "image_not_found")


def test_label_is_audited(client: httpx.Client, engine: Engine) -> None:
    result = attributed(client, engine, seed=6)
    say(client, result, CORRECTION)
    with transaction(engine) as session:
        statement = text("SELECT action, details->>'generator' FROM audit_events WHERE subject = :sha256")
        rows = session.execute(statement, {"sha256": result["image"]["sha256"]}).all()
    assert [tuple(row) for row in rows] == [("label.correct", "sdxl-1.0")]


@pytest.mark.parametrize("statement", ["UPDATE labels SET generator = 'x'", "DELETE FROM labels"])
def test_labels_refuse_change(client: httpx.Client, engine: Engine, statement: str) -> None:
    say(client, attributed(client, engine, seed=7), CORRECTION)
    with pytest.raises(ProgrammingError, match="append-only"), transaction(engine) as session:
        session.execute(text(statement))
