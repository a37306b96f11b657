"""Examples of the review queue's and the map's requests and answers, for the description of the API."""

from typing import Any

from api.examples import EXAMPLE_ID, EXAMPLE_SHA256, EXAMPLE_TIME, RESULT

WAITING: list[Any] = [{"appeal": 1, "unseen": 84, "inconclusive": 213, "generator": 1000}]
CLAIM_CREATE: list[Any] = [{"limit": 1, "verdict": "unseen"}]
CLAIM: dict[str, Any] = {"id": EXAMPLE_ID, "expires_at": EXAMPLE_TIME, "result": RESULT[0]}
CLAIMS: list[Any] = [{"data": [CLAIM]}]
RELEASE: list[Any] = [{"skip": True}]
DECISION: list[Any] = [
    {"kind": "correct", "generator": None, "reason": "none of the known generators draws hands like this"}
]
TAKEN_BACK: list[Any] = [{"reason": "the wrong key was pressed"}]
BULK_LABEL: list[Any] = [
    {
        "choice": {"copies_of": EXAMPLE_ID},
        "label": {"kind": "correct", "generator": "real", "reason": "frames of one film"},
        "dry_run": True,
    }
]
BULK_OUTCOME: list[Any] = [
    {
        "dry_run": True,
        "bulk_id": None,
        "count": 1,
        "left_out": 0,
        "unconfirmable": 0,
        "verdicts": {"unseen": 1},
        "sample": [
            {
                "image_id": EXAMPLE_ID,
                "sha256": EXAMPLE_SHA256,
                "verdict": "unseen",
                "generator": None,
                "p_value": 0.01,
            }
        ],
    }
]
UNDONE: list[Any] = [{"count": 12}]
MAP: list[Any] = [
    {
        "model_version": "starter-3f1c0a9be2d4",
        "images": 12000,
        "asked_at": None,
        "drawn_at": EXAMPLE_TIME,
        "places": [
            {
                "image_id": EXAMPLE_ID,
                "x": 0.31,
                "y": 0.72,
                "verdict": "generator",
                "generator": "sdxl-1.0",
                "candidate_id": None,
            }
        ],
    }
]
