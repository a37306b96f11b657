"""Results as pages, lines and cells; one image's attribution; generators."""

import csv
import json
from collections.abc import Iterator
from functools import partial
from io import StringIO
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine

import api.results
from api.streaming import read_pages
from leaktrace.records.database import transaction
from leaktrace.records.models import Attribution
from tests.integration.api.service import (
    CALIBRATION,
    MODEL,
    MakeClient,
    complete_batch,
    picture,
    register_model,
    upload,
)

NAMES = [f"n{n}" for n in range(7)]


@pytest.fixture(scope="module")
def attributed(client: httpx.Client, engine: Engine) -> str:
    """A completed batch of seven, of which two failed."""
    register_model(engine)
    return complete_batch(
        client, engine, {name: picture(100 + n) for n, name in enumerate(NAMES)}, failed=("n2", "n5")
    )


def get(client: httpx.Client, batch_id: str, **params: Any) -> httpx.Response:
    return client.get(f"/v1/batches/{batch_id}/results", params=params)


def walk(client: httpx.Client, batch_id: str, **params: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = get(client, batch_id, **params, **cursor).json()
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_give_each_item_once(client: httpx.Client, attributed: str, limit: int) -> None:
    assert sorted(result["custom_id"] for result in walk(client, attributed, limit=limit)) == NAMES


def test_result_is_self_contained(client: httpx.Client, attributed: str) -> None:
    result = next(walk(client, attributed, state="succeeded"))
    attribution = result["attribution"]
    assert (attribution["verdict"], attribution["generator"]) == ("generator", "sd-2.1")
    assert (attribution["model_version"], attribution["timings"]) == (MODEL, {"attribute": 0.1})
    assert attribution["probabilities"] == {"sd-2.1": 0.9, "real": 0.1}
    assert attribution["calibration"] == CALIBRATION
    assert (result["error"], result["image"]["size_bytes"] > 0) == (None, True)


def test_discoveries_stand_beside_verdicts(client: httpx.Client, attributed: str, engine: Engine) -> None:
    """Five p-values of which one is small: 0.01 x 5 is at most 0.1, and 0.5 is not."""
    first = next(walk(client, attributed, state="succeeded"))
    with transaction(engine) as session:
        session.get_one(Attribution, first["attribution"]["id"]).p_value = 0.01
    told = {one["custom_id"]: one["discovery"] for one in walk(client, attributed, limit=2, fdr=0.1)}
    rows = list(csv.DictReader(StringIO(get(client, attributed, format="csv", fdr=0.1).text)))
    with transaction(engine) as session:
        session.get_one(Attribution, first["attribution"]["id"]).p_value = 0.5
    assert told.pop(first["custom_id"]) == {"rate": 0.1, "adjusted_p": 0.05, "unseen": True}
    assert [told.pop("n2"), told.pop("n5")] == [None, None]
    assert {(one["adjusted_p"], one["unseen"]) for one in told.values()} == {(0.5, False)}
    assert first["discovery"] is None
    assert [row["unseen_at_fdr"] for row in rows].count("true") == 1


def test_failed_result_has_its_code(client: httpx.Client, attributed: str) -> None:
    failed = list(walk(client, attributed, state="failed"))
    codes = {result["custom_id"]: result["error"]["code"] for result in failed}
    assert codes == {"n2": "truncated", "n5": "truncated"}
    assert failed[0]["attribution"] is None


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"verdict": "generator"}, 5),
        ({"verdict": "unseen"}, 0),
        ({"generator": "sd-2.1"}, 5),
        ({"generator": "real"}, 0),
        ({"error_code": "truncated"}, 2),
        ({"p_min": 0.5, "p_max": 0.5}, 5),
        ({"p_min": 0.6}, 0),
        ({"p_max": 0.4}, 0),
        ({"state": "pending"}, 0),
    ],
)
def test_filters_leave_out(client: httpx.Client, attributed: str, params: dict[str, str], count: int) -> None:
    assert len(list(walk(client, attributed, **params))) == count


def test_unfinished_items_are_listed(client: httpx.Client, batch_id: str) -> None:
    upload(client, batch_id, {"a": picture()})
    (result,) = walk(client, batch_id)
    assert (result["state"], result["attribution"], result["error"]) == ("pending", None, None)


def test_cursor_keeps_its_filters(client: httpx.Client, attributed: str) -> None:
    cursor = get(client, attributed, limit=1).json()["next_cursor"]
    answer = get(client, attributed, limit=1, cursor=cursor, state="failed")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_cursor_keeps_its_batch(client: httpx.Client, attributed: str, batch_id: str) -> None:
    cursor = get(client, attributed, limit=1).json()["next_cursor"]
    assert get(client, batch_id, cursor=cursor).status_code == 400


def test_changed_cursor_is_refused(client: httpx.Client, attributed: str) -> None:
    cursor = get(client, attributed, limit=1).json()["next_cursor"]
    assert (
        get(client, attributed, cursor=cursor[:-1] + ("A" if cursor[-1] != "A" else "B")).status_code == 400
    )


@pytest.mark.parametrize("together", [2, 7, 500])
def test_stream_ends_with_its_count(
    client: httpx.Client, attributed: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.results, "read_pages", partial(read_pages, together=together))
    answer = client.get(f"/v1/batches/{attributed}/results", headers={"Accept": "application/x-ndjson"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert (lines[-1], [line["custom_id"] for line in lines[:-1]]) == ({"type": "end", "count": 7}, NAMES)


def test_empty_stream_has_its_end(client: httpx.Client, batch_id: str) -> None:
    assert json.loads(get(client, batch_id, format="ndjson").text) == {"type": "end", "count": 0}


def test_stream_may_be_limited(client: httpx.Client, attributed: str) -> None:
    lines = get(client, attributed, format="ndjson", limit=3).text.splitlines()
    assert json.loads(lines[-1]) == {"type": "end", "count": 3}


def test_csv_has_a_row_an_item(client: httpx.Client, attributed: str) -> None:
    answer = get(client, attributed, format="csv")
    rows = list(csv.DictReader(StringIO(answer.text, newline="")))
    assert [row["custom_id"] for row in rows] == NAMES
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"


def test_csv_runs_no_formula(client: httpx.Client, batch_id: str) -> None:
    upload(client, batch_id, {"=1+1": picture()})
    rows = list(csv.DictReader(StringIO(get(client, batch_id, format="csv").text, newline="")))
    assert rows[0]["custom_id"] == "'=1+1"


def test_unknown_format_is_not_acceptable(client: httpx.Client, attributed: str) -> None:
    answer = client.get(f"/v1/batches/{attributed}/results", headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_image_gives_its_attribution(client: httpx.Client, attributed: str) -> None:
    result = next(walk(client, attributed, state="succeeded"))
    url = f"/v1/images/{result['image']['id']}/attribution"
    assert client.get(url).json() == result["attribution"]
    assert client.get(url, params={"model_version": MODEL}).json() == result["attribution"]


def test_other_model_has_no_attribution(client: httpx.Client, attributed: str) -> None:
    result = next(walk(client, attributed, state="succeeded"))
    answer = client.get(f"/v1/images/{result['image']['id']}/attribution", params={"model_version": "other"})
    assert (answer.status_code, answer.json()["code"]) == (404, "attribution_not_found")


def test_unknown_image_is_404(client: httpx.Client) -> None:
    assert client.get(f"/v1/images/{uuid4()}/attribution").status_code == 404


@pytest.mark.usefixtures("attributed")
def test_generators_count_the_tenants_images(client: httpx.Client, make_client: MakeClient) -> None:
    found = client.get("/v1/generators").json()
    assert found["model"]["version"] == MODEL
    seen = [(g["name"], g["images"], g["median_p_value"]) for g in found["data"]]
    assert seen == [("sd-2.1", 5, 0.5), ("real", 0, None)]
    others = make_client(tenant="stranger").get("/v1/generators").json()
    assert [g["images"] for g in others["data"]] == [0, 0]


def test_nearest_images_are_ones_own(client: httpx.Client, make_client: MakeClient, engine: Engine) -> None:
    rival = make_client(tenant="rival of the nearest")
    register_model(engine)
    first, *others = [
        image_of(each, engine, seed) for each, seed in ((client, 901), (client, 902), (rival, 903))
    ]
    found = client.get(f"/v1/images/{first}/nearest", params={"limit": 100}).json()
    ids = [one["image_id"] for one in found["data"]]
    assert (others[0] in ids, others[1] in ids, first in ids) == (True, False, False)
    assert rival.get(f"/v1/images/{first}/nearest").status_code == 404


def image_of(client: httpx.Client, engine: Engine, seed: int) -> str:
    """The id of a new image that has been attributed."""
    batch_id = complete_batch(client, engine, {"a": picture(seed)})
    return str(client.get(f"/v1/batches/{batch_id}/results").json()["data"][0]["image"]["id"])
