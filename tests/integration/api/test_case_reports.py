"""Case reports over HTTP: whole, checkable, tenant-scoped, and remembered by their final hash."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

import api.case_reports
from leaktrace.casefile import ChainBroken, verify
from leaktrace.client import Client
from leaktrace.records.database import transaction
from tests.integration.api.service import MakeClient, complete_batch, picture, register_model


@pytest.fixture(scope="module")
def batch_id(client: httpx.Client, engine: Engine) -> str:
    """Five images, of which one failed and one was corrected."""
    register_model(engine)
    batch_id = complete_batch(
        client,
        engine,
        {f"n{n}.jpg": picture(500 + n) for n in range(5)},
        failed=("n3.jpg",),
        name="evidence <b>7</b>",
    )
    correction = {"kind": "correct", "generator": None, "reason": "the author <i>showed</i> us"}
    client.post(f"/v1/images/{results(client, batch_id)[0]['image']['id']}/labels", json=correction)
    return batch_id


def results(client: httpx.Client, batch_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/batches/{batch_id}/results").json()["data"]
    return found


def saved(client: httpx.Client, path: str, directory: Path) -> Path:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    file = directory / "report.html"
    file.write_bytes(answer.content)
    return file


def test_image_report_holds(client: httpx.Client, batch_id: str, tmp_path: Path) -> None:
    image = results(client, batch_id)[0]["image"]
    file = saved(client, f"/v1/images/{image['id']}/report", tmp_path)
    assert (verify(file).entries, verify(file).images) == (3, 1)
    page = file.read_text()
    for said in (image["sha256"], "Looks like sd-2.1", "the author &lt;i&gt;showed&lt;/i&gt; us"):
        assert said in page


def test_tampered_report_is_found_out(client: httpx.Client, batch_id: str, tmp_path: Path) -> None:
    image_id = results(client, batch_id)[0]["image"]["id"]
    file = saved(client, f"/v1/images/{image_id}/report", tmp_path)
    file.write_bytes(file.read_bytes().replace(b"Looks like sd-2.1", b"Looks like a photograph"))
    with pytest.raises(ChainBroken, match="entry 2"):
        verify(file)


def test_batch_report_tells_every_item(
    client: httpx.Client, batch_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.case_reports, "READ_TOGETHER", 2)
    file = saved(client, f"/v1/batches/{batch_id}/report", tmp_path)
    assert verify(file).images == 5
    page = file.read_text()
    assert [f"n{n}.jpg" in page for n in range(5)] == [True] * 5
    assert "truncated: the file ends early" in page


def test_client_saves_batch_report(
    base_url: str, client: httpx.Client, batch_id: str, tmp_path: Path
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    with Client(base_url, key) as own, (tmp_path / "report.html").open("wb") as file:
        file.writelines(own.batch_report(batch_id, pictures=False, provenance=False))
    assert verify(tmp_path / "report.html").images == 5
    assert "Not read." in (tmp_path / "report.html").read_text()


def test_final_hash_is_remembered(
    client: httpx.Client, batch_id: str, engine: Engine, tmp_path: Path
) -> None:
    path = f"/v1/batches/{batch_id}/report?provenance=false"
    final_hash = verify(saved(client, path, tmp_path)).final_hash
    statement = text("SELECT subject FROM audit_events WHERE details->>'final_hash' = :final_hash")
    with transaction(engine) as session:
        subject = session.execute(statement, {"final_hash": final_hash}).scalar_one()
    assert subject == f"batch:{batch_id}"


@pytest.mark.parametrize("kind", ["images", "batches"])
def test_stranger_gets_no_report(
    client: httpx.Client, make_client: MakeClient, batch_id: str, kind: str
) -> None:
    identity = batch_id if kind == "batches" else results(client, batch_id)[0]["image"]["id"]
    assert make_client(tenant="rival").get(f"/v1/{kind}/{identity}/report").status_code == 404
