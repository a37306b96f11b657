"""The review queue: its order, that nobody is given another's image, undo, and one label for many images."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import Engine, update

from leaktrace.records.database import transaction
from leaktrace.records.models import Attribution, Image
from leaktrace.records.open_set_models import ReviewClaim
from tests.integration.api.service import MakeClient, complete_batch, picture, register_model

NEW = {"kind": "correct", "generator": None, "reason": "none of them"}


@pytest.fixture
def clients(make_client: MakeClient) -> tuple[httpx.Client, httpx.Client]:
    """Two people of one tenant that nobody else uses."""
    tenant = f"tenant-{uuid4().hex[:8]}"
    return make_client(tenant=tenant), make_client(tenant=tenant)


def submit(client: httpx.Client, engine: Engine, *verdicts: str, seed: int = 0) -> list[str]:
    """A batch with an image of each verdict; returns the images' ids in that order."""
    register_model(engine)
    batch_id = complete_batch(
        client, engine, {f"{at}.jpg": picture(seed + at) for at in range(len(verdicts))}
    )
    results = client.get(f"/v1/batches/{batch_id}/results").json()["data"]
    ids = [result["image"]["id"] for result in sorted(results, key=lambda one: one["custom_id"])]
    with transaction(engine) as session:
        for image_id, verdict in zip(ids, verdicts, strict=True):
            values = {"verdict": verdict, "generator": "sd-2.1" if verdict == "generator" else None}
            statement = update(Attribution).where(Attribution.image_id == UUID(image_id))
            session.execute(statement.values(**values))
    return ids


def claim(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    answer = client.post("/v1/review/claims", json=body)
    assert answer.status_code == 201, answer.text
    claims: list[dict[str, Any]] = answer.json()["data"]
    return claims


def images(claims: list[dict[str, Any]]) -> list[str]:
    return [one["result"]["image"]["id"] for one in claims]


def decide(client: httpx.Client, claim_id: str, body: dict[str, Any] = NEW) -> httpx.Response:
    return client.post(f"/v1/review/claims/{claim_id}/decide", json=body)


Pair = tuple[httpx.Client, httpx.Client]


def test_queue_has_its_order(clients: Pair, engine: Engine) -> None:
    ids = submit(clients[0], engine, "generator", "inconclusive", "unseen", "generator")
    appeal = {"kind": "appeal", "reason": "it is my own"}
    clients[0].post(f"/v1/images/{ids[3]}/labels", json=appeal)
    assert images(claim(clients[0], limit=10)) == [ids[3], ids[2], ids[1], ids[0]]


def test_claims_never_meet(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, *["unseen"] * 24)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda at: images(claim(clients[at % 2], limit=3)), range(8)))
    taken = [image_id for part in found for image_id in part]
    assert (len(taken), len(set(taken))) == (24, 24)


def test_decided_image_leaves_queue(clients: Pair, engine: Engine) -> None:
    (image_id,) = submit(clients[0], engine, "unseen")
    (claimed,) = claim(clients[0])
    answer = decide(clients[0], claimed["id"])
    assert (answer.status_code, answer.json()["generator"]) == (201, None)
    assert claim(clients[1]) == []
    history = clients[0].get(f"/v1/images/{image_id}/labels").json()["data"]
    assert [(one["kind"], one["reason"]) for one in history] == [("correct", "none of them")]


def test_expired_claim_goes_to_next(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "unseen")
    (lost,) = claim(clients[0])
    with transaction(engine) as session:
        long_ago = update(ReviewClaim).where(ReviewClaim.id == UUID(lost["id"]))
        session.execute(long_ago.values(expires_at=ReviewClaim.created_at))
    (taken,) = claim(clients[1])
    assert images([taken]) == images([lost])
    answer = decide(clients[0], lost["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "claim_lost")


def test_strangers_claim_is_not_decided(clients: Pair, make_client: MakeClient, engine: Engine) -> None:
    submit(clients[0], engine, "unseen")
    (claimed,) = claim(clients[0])
    stranger = make_client(tenant="stranger")
    assert [decide(each, claimed["id"]).status_code for each in (clients[1], stranger)] == [409, 409]


def test_skipped_image_goes_to_others(clients: Pair, engine: Engine) -> None:
    ids = submit(clients[0], engine, "unseen", "unseen")
    (first,) = claim(clients[0])
    clients[0].post(f"/v1/review/claims/{first['id']}/release", json={"skip": True})
    assert images(claim(clients[0], limit=5)) == [ids[1]]
    assert images(claim(clients[1])) == [ids[0]]


def test_skip_is_taken_back(clients: Pair, engine: Engine) -> None:
    ids = submit(clients[0], engine, "unseen", "unseen")
    (first,) = claim(clients[0])
    clients[0].post(f"/v1/review/claims/{first['id']}/release", json={"skip": True})
    again = clients[0].post(f"/v1/review/claims/{first['id']}/renew").json()
    assert images([again]) == [ids[0]]
    assert images(claim(clients[1], limit=5)) == [ids[1]]


def test_undone_decision_stands_no_longer(clients: Pair, engine: Engine) -> None:
    (image_id,) = submit(clients[0], engine, "unseen")
    (claimed,) = claim(clients[0])
    label = decide(clients[0], claimed["id"]).json()
    path = f"/v1/review/decisions/{label['id']}/undo"
    again = clients[0].post(path, json={"reason": "wrong key"}).json()
    assert (images([again]), again["result"]["label"]) == ([image_id], None)
    history = clients[0].get(f"/v1/images/{image_id}/labels").json()["data"]
    assert [one["kind"] for one in history] == ["withdraw", "correct"]
    assert clients[0].post(path, json={"reason": "twice"}).json()["code"] == "already_withdrawn"


def test_undo_is_for_own_decisions(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "unseen")
    (claimed,) = claim(clients[0])
    label = decide(clients[0], claimed["id"]).json()
    answer = clients[1].post(f"/v1/review/decisions/{label['id']}/undo", json={"reason": "no"})
    assert (answer.status_code, answer.json()["code"]) == (404, "label_not_found")


def test_inconclusive_cannot_be_confirmed(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "inconclusive")
    (claimed,) = claim(clients[0])
    answer = decide(clients[0], claimed["id"], {"kind": "confirm", "reason": "yes"})
    assert answer.json()["code"] == "nothing_to_confirm"


def test_waiting_images_are_counted(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "unseen", "unseen", "inconclusive")
    claim(clients[0])
    counts = {"appeal": 0, "unseen": 2, "inconclusive": 1, "generator": 0}
    assert clients[1].get("/v1/review").json() == counts


def bulk(client: httpx.Client, choice: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"choice": choice, "label": NEW, "dry_run": True, **more}
    return client.post("/v1/review/bulk", json=body)


def test_bulk_does_what_was_shown(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "unseen", "unseen", "inconclusive", "generator")
    shown = bulk(clients[0], {"verdict": "unseen"}).json()
    assert (shown["count"], shown["bulk_id"], shown["verdicts"]) == (2, None, {"unseen": 2})
    done = bulk(clients[0], {"verdict": "unseen"}, dry_run=False, expected=2).json()
    assert done["count"] == 2
    assert clients[0].get("/v1/review").json()["unseen"] == 0
    undone = clients[0].post(f"/v1/review/bulk/{done['bulk_id']}/undo", json={"reason": "too quick"})
    assert undone.json() == {"count": 2}
    assert clients[0].get("/v1/review").json()["unseen"] == 2


def test_bulk_refuses_another_count(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "unseen", "unseen")
    answer = bulk(clients[0], {"verdict": "unseen"}, dry_run=False, expected=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "choice_changed")


def test_bulk_leaves_others_claims(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "unseen", "unseen")
    claim(clients[1])
    assert bulk(clients[0], {"verdict": "unseen"}).json()["count"] == 1


def test_bulk_confirmation_leaves_out_inconclusive(clients: Pair, engine: Engine) -> None:
    submit(clients[0], engine, "unseen", "inconclusive")
    label = {"kind": "confirm", "reason": "seen all"}
    shown = bulk(clients[0], {"largest_p": 1}, label=label).json()
    assert (shown["count"], shown["unconfirmable"]) == (1, 1)


def test_bulk_finds_near_copies(clients: Pair, engine: Engine) -> None:
    ids = submit(clients[0], engine, "unseen", "unseen", "unseen")
    with transaction(engine) as session:
        for image_id, bits in zip(ids, (0, 0b111, -1), strict=True):
            session.execute(update(Image).where(Image.id == UUID(image_id)).values(perceptual_hash=bits))
    sample = bulk(clients[0], {"copies_of": ids[0]}).json()["sample"]
    assert [one["image_id"] for one in sample] == ids[:2]


def test_bulk_finds_nearest(clients: Pair, engine: Engine) -> None:
    ids = submit(clients[0], engine, "unseen", "unseen", "unseen")
    with transaction(engine) as session:
        far = update(Attribution).where(Attribution.image_id == UUID(ids[2]))
        session.execute(far.values(embedding=[9.0, 9.0, 9.0]))
    sample = bulk(clients[0], {"near": ids[0], "nearest": 1}).json()["sample"]
    assert sorted(one["image_id"] for one in sample) == sorted(ids[:2])


def test_viewer_may_not_claim(make_client: MakeClient) -> None:
    viewer = make_client(scopes=("results:read",))
    assert viewer.get("/v1/review").status_code == 200
    assert viewer.post("/v1/review/claims", json={}).json()["code"] == "scope_missing"
