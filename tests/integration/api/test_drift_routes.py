"""Drift over HTTP: the newest look, the alarms of all looks page by page, and the metrics."""

import httpx
from sqlalchemy import Engine

from leaktrace.client import Client
from leaktrace.records.database import transaction
from leaktrace.records.drift import record_drift
from tests.integration.api.service import DENSITY, MODEL, MakeClient, register_model


def record(engine: Engine, *, alarm: bool) -> None:
    finding = {"kind": "rate", "subject": "unseen", "effect": 0.12, "bound": 0.05, "p_value": 1e-6}
    finding |= {"images": 812, "compared_with": 2000, "alarm": alarm, "reason": "unseen went up"}
    with transaction(engine) as session:
        record_drift(session, MODEL, density_version=DENSITY, findings=[finding], details={})


def test_nobody_has_looked_at_first(client: httpx.Client) -> None:
    report = client.get("/v1/drift").json()
    assert (report["at"], report["findings"]) == (None, [])


def test_alarms_are_told_and_measured(
    base_url: str, client: httpx.Client, make_client: MakeClient, engine: Engine
) -> None:
    register_model(engine)
    for alarm in (True, False, True):
        record(engine, alarm=alarm)
    key = client.headers["Authorization"].removeprefix("Bearer ")
    with Client(base_url, key) as ours:
        (alarm,) = ours.open_set.drift().alarms
    first = client.get("/v1/drift/alarms", params={"limit": 1}).json()
    second = client.get("/v1/drift/alarms", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    metrics = client.get("/metrics").text
    standing = make_client(scopes=("tenant:admin",)).get("/v1/status").json()["alarms"]
    assert "Images do not look as they did: unseen went up." in [one["detail"] for one in standing]
    assert (alarm.subject, alarm.reason) == ("unseen", "unseen went up")
    assert [len(first["data"]), len(second["data"]), second["next_cursor"]] == [1, 1, None]
    assert first["data"][0]["at"] > second["data"][0]["at"]
    assert 'leaktrace_drift_alarm{kind="rate",subject="unseen"} 1.0' in metrics
