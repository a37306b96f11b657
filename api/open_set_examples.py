"""The examples of generators found and enrolled, of densities, re-scores and drift, for the API's description."""

from typing import Any

from api.examples import EXAMPLE_ID, EXAMPLE_SHA256, EXAMPLE_TIME

CANDIDATES: list[Any] = [
    {
        "data": [
            {
                "id": EXAMPLE_ID,
                "model_version": "starter-3f1c0a9be2d4",
                "state": "open",
                "size": 84,
                "growth": 12,
                "runs": 5,
                "nearest_generator": "sd-2.1",
                "novelty": 412.7,
                "stability": 0.93,
                "confidence": 0.88,
                "sources": {"confirmed": 9, "batches": 3, "days": 2, "formats": 1},
                "medoids": [EXAMPLE_ID],
                "created_at": EXAMPLE_TIME,
                "seen_at": EXAMPLE_TIME,
            }
        ],
        "last_run": {"at": EXAMPLE_TIME, "images": 301, "candidates": 1},
    }
]
ENROLMENT_CREATE: list[Any] = [
    {
        "of": "candidate",
        "name": "flux-3",
        "candidate_id": EXAMPLE_ID,
        "reason": "the uploader named it, and the pictures share its signature",
    }
]
ENROLMENTS: list[Any] = [
    {
        "data": [
            {
                "id": EXAMPLE_ID,
                "change_id": EXAMPLE_ID,
                "name": "flux-3",
                "shared": False,
                "state": "active",
                "model_version": "starter-3f1c0a9be2d4",
                "density_version": "own-7d2c11aa-51d0aa7e90cc",
                "replaces": [],
                "candidate_id": EXAMPLE_ID,
                "gates": [
                    {
                        "name": "held_out_recall",
                        "passed": True,
                        "measured": 0.96,
                        "limit": 0.9,
                        "detail": "96.0% of 24 held-out images of flux-3 are attributed to it",
                    }
                ],
                "reason": "the uploader named it, and the pictures share its signature",
                "outcome": "all gates passed",
                "actor": "key:0f8a6f3a9d6c4c1e",
                "created_at": EXAMPLE_TIME,
                "decided_at": EXAMPLE_TIME,
            }
        ]
    }
]
EXAMPLE_IMAGES: list[Any] = [{"count": 84, "data": [EXAMPLE_ID]}]
MERGE: list[Any] = [{"into": "flux-3", "reason": "two uploads of one generator"}]
SPLIT: list[Any] = [
    {"new_name": "flux-4", "image_ids": [EXAMPLE_ID], "reason": "the later pictures are of the new version"}
]
REASONED: list[Any] = [{"reason": "the batch was mixed"}]
DENSITIES: list[Any] = [
    {
        "data": [
            {
                "version": "own-7d2c11aa-51d0aa7e90cc",
                "model_version": "starter-3f1c0a9be2d4",
                "scope": "own",
                "state": "active",
                "sha256": EXAMPLE_SHA256,
                "known_images": 886,
                "reason": "enrolled flux-3: the uploader named it",
                "details": {"base": "starter-density-51d0aa7e90cc", "enrolments": [EXAMPLE_ID]},
                "created_at": EXAMPLE_TIME,
                "activated_at": EXAMPLE_TIME,
                "retired_at": None,
                "gates": [],
                "outcome": "enrolled flux-3: the uploader named it",
                "shadowed_at": None,
            }
        ]
    }
]
ROLLBACK: list[Any] = [{"scope": "own", "reason": "the batch was mixed"}]
ROLLED_BACK: list[Any] = [{"version": "starter-own-2"}]
REFIT: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "model_version": "starter-3f1c0a9be2d4",
    "density_version": "starter-density-51d0aa7e90cc",
    "outcome": "no_change",
    "reason": "41 of 42 newly confirmed images",
    "details": {"near_copies": 3, "over_cap": 0, "left_out": 0, "confirmed": {"sdxl-1.0": 41}},
    "at": EXAMPLE_TIME,
    "decided_at": EXAMPLE_TIME,
}
RESCORE_CREATE: list[Any] = [
    {"of": "batch", "batch_id": EXAMPLE_ID, "reason": "flux-3 was enrolled"},
    {"of": "time", "since": EXAMPLE_TIME, "reason": "flux-3 was enrolled"},
]
_RESCORE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "batch_id": EXAMPLE_ID,
    "since": None,
    "until": None,
    "state": "completed",
    "model_version": "starter-3f1c0a9be2d4",
    "density_version": "own-7d2c11aa-51d0aa7e90cc",
    "reason": "flux-3 was enrolled",
    "error": None,
    "actor": "key:0123456789abcdef",
    "items": 120,
    "judged": 120,
    "flips": 40,
    "changes": [{"before": "unseen", "after": "flux-3", "cause": "enrolled", "items": 40}],
    "created_at": EXAMPLE_TIME,
    "started_at": EXAMPLE_TIME,
    "finished_at": EXAMPLE_TIME,
}
RESCORE: list[Any] = [_RESCORE]
RESCORES: list[Any] = [{"data": [_RESCORE]}]
RESCORED_ITEMS: list[Any] = [
    {
        "data": [
            {
                "item_id": EXAMPLE_ID,
                "custom_id": "cat.jpg",
                "batch_id": EXAMPLE_ID,
                "image_id": EXAMPLE_ID,
                "before": "unseen",
                "after": "flux-3",
                "cause": "enrolled",
                "p_before": 0.02,
                "p_after": 0.61,
                "model_before": "starter-3f1c0a9be2d4",
                "model_after": "starter-3f1c0a9be2d4",
                "density_before": "starter-density-51d0aa7e90cc",
                "density_after": "own-7d2c11aa-51d0aa7e90cc",
                "reason": "flux-3 has probability 0.97, at least 0.5.",
                "error_code": None,
            }
        ],
        "next_cursor": None,
    }
]
DRIFT_FINDING: dict[str, Any] = {
    "kind": "rate",
    "subject": "unseen",
    "effect": 0.12,
    "bound": 0.05,
    "p_value": 1e-6,
    "images": 812,
    "compared_with": 2000,
    "alarm": True,
    "reason": "unseen went from 4.0% (3.2% to 5.0%) to 16.0% (13.6% to 18.7%) of the images",
}
DRIFT_REPORT: list[Any] = [
    {
        "model_version": "starter-3f1c0a9be2d4",
        "density_version": "starter-density-51d0aa7e90cc",
        "at": EXAMPLE_TIME,
        "details": {
            "recent": {"images": 812, "tenants": 3},
            "trailing": {"images": 2000, "tenants": 4},
        },
        "findings": [DRIFT_FINDING],
    }
]
DRIFT_ALARMS: list[Any] = [
    {
        "data": [{**DRIFT_FINDING, "at": EXAMPLE_TIME, "density_version": "starter-density-51d0aa7e90cc"}],
        "next_cursor": None,
    }
]
SHADOW_IMAGES: list[Any] = [
    {
        "data": [
            {
                "image_id": EXAMPLE_ID,
                "sha256": EXAMPLE_SHA256,
                "before": "sdxl-1.0",
                "after": "unseen",
                "p_before": 0.06,
                "p_after": 0.04,
                "reason": "It fits no known generator: the best p-value is 0.04, at most alpha = 0.05.",
            }
        ],
        "next_cursor": None,
    }
]
SHADOW_REPORT: list[Any] = [
    {
        "version": "starter-density-8e1b37aa90cc",
        "images": 640,
        "named": 512,
        "flips": 1,
        "differences": [{"before": "sdxl-1.0", "after": "sdxl-1.0", "images": 400}],
    }
]
