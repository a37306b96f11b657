"""The examples that the API's description shows; the tests check that each fits its schema."""

from typing import Any

EXAMPLE_ID = "019ab1f0-5c3e-7a10-8d53-2f6b8c1e9a40"
EXAMPLE_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXAMPLE_TIME = "2026-01-05T09:30:00Z"

BATCH_CREATE: list[Any] = [{"name": "uploads of May", "metadata": {"source": "forum", "run": 7}}]
BATCH: list[Any] = [
    {
        "id": EXAMPLE_ID,
        "object": "batch",
        "name": "uploads of May",
        "metadata": {"source": "forum", "run": 7},
        "state": "in_progress",
        "error": None,
        "counts": {
            "total": 120,
            "pending": 40,
            "running": 16,
            "succeeded": 63,
            "failed": 1,
            "cancelled": 0,
        },
        "created_at": EXAMPLE_TIME,
        "expires_at": "2026-01-06T09:30:00Z",
        "uploading_at": EXAMPLE_TIME,
        "validating_at": "2026-01-05T09:31:00Z",
        "queued_at": "2026-01-05T09:31:00Z",
        "in_progress_at": "2026-01-05T09:31:01Z",
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "deleting_at": None,
    }
]
BATCH_PAGE: list[Any] = [{"data": BATCH, "next_cursor": None}]
FILES: list[Any] = [
    {
        "custom_id": "cat-1.jpg",
        "status": "accepted",
        "item_id": EXAMPLE_ID,
        "sha256": EXAMPLE_SHA256,
        "size_bytes": 48213,
        "error": None,
    },
    {
        "custom_id": "notes.txt",
        "status": "refused",
        "item_id": None,
        "sha256": EXAMPLE_SHA256,
        "size_bytes": 12,
        "error": {
            "code": "unsupported_format",
            "detail": "the first bytes are not those of an image",
        },
    },
]
UPLOAD_ANSWERS: list[Any] = [{"data": FILES}]
PROMISED_FILE: list[Any] = [
    {"custom_id": "cat-1", "file_name": "cat.jpg", "sha256": EXAMPLE_SHA256, "size_bytes": 48213}
]
PROMISES: list[Any] = [{"files": PROMISED_FILE}]
PROMISE_ANSWERS: list[Any] = [
    {
        "data": [
            {
                "custom_id": "cat-1",
                "item_id": EXAMPLE_ID,
                "status": "upload",
                "url": "https://store.example/leaktrace",
                "fields": {"key": "staged/...", "policy": "...", "x-amz-signature": "..."},
                "error": None,
            }
        ],
        "expires_at": "2026-01-05T10:30:00Z",
    }
]
RETRY: list[Any] = [{"dry_run": False}]
RETRIED: list[Any] = [{"count": 3, "codes": {"worker_lost": 3}, "executed": True}]
NOT_READY: list[Any] = [
    {
        "ready": False,
        "checks": {
            "database": {"ok": True, "detail": "answers"},
            "broker": {"ok": True, "detail": "answers"},
            "store": {"ok": True, "detail": "answers"},
            "workers": {"ok": False, "detail": "no worker has reported in the last 30 s"},
            "density": {"ok": True, "detail": "fresh"},
        },
    }
]
LIVE: list[Any] = [{"live": True}]
ATTRIBUTION: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "verdict": "generator",
    "generator": "sdxl-1.0",
    "p_value": 0.41,
    "smallest_p": 0.011,
    "alpha": 0.05,
    "reason": "sdxl-1.0 is the most probable class and the image is typical of it",
    "probabilities": {"sdxl-1.0": 0.93, "sd-2.1": 0.05, "real": 0.02},
    "p_values": {"sdxl-1.0": 0.41, "sd-2.1": 0.02, "real": 0.01},
    "calibration": {
        "stratum": "jpeg-70-89/from-1024px",
        "classes": {
            "sdxl-1.0": {"images": 212, "of": "stratum"},
            "sd-2.1": {"images": 131, "of": "others"},
            "real": {"images": 90, "of": "class"},
        },
    },
    "explanation": {
        "steps": [{"timestep": 50, "attention": 0.6}, {"timestep": 150, "attention": 0.4}],
        "features": [{"index": 17, "gate": 0.9, "contribution": 0.3}],
        "prototypes": [{"generator": "sdxl-1.0", "index": 2, "distance": 0.4}],
        "distances": {"sdxl-1.0": 0.4, "sd-2.1": 1.1, "real": 1.9},
        "margin": 0.7,
        "crops": [{"left": 0, "top": 0, "width": 256, "height": 256, "margin": 0.9}],
    },
    "extended": False,
    "model_version": "starter-3f1c0a9be2d4",
    "density_version": "starter-3f1c0a9be2d4-initial",
    "timings": {"fetch": 0.004, "decode": 0.012, "attribute": 0.035},
    "created_at": EXAMPLE_TIME,
}
LABEL_CREATE: list[Any] = [
    {"kind": "correct", "generator": "sdxl-1.0", "reason": "the author published the prompt"}
]
LABEL: list[Any] = [
    {
        "id": EXAMPLE_ID,
        "sha256": EXAMPLE_SHA256,
        "kind": "correct",
        "generator": "sdxl-1.0",
        "reason": "the author published the prompt",
        "actor": "key:0f8a6f3a9d6c4c1e",
        "model_version": "starter-3f1c0a9be2d4",
        "density_version": "starter-density-51d0aa7e90cc",
        "verdict": "unseen",
        "withdraws": None,
        "bulk_id": None,
        "created_at": EXAMPLE_TIME,
    }
]
RESULT: list[Any] = [
    {
        "type": "result",
        "item_id": EXAMPLE_ID,
        "batch_id": EXAMPLE_ID,
        "custom_id": "cat-1.jpg",
        "file_name": "cat-1.jpg",
        "state": "succeeded",
        "error": None,
        "image": {
            "id": EXAMPLE_ID,
            "sha256": EXAMPLE_SHA256,
            "size_bytes": 48213,
            "format": "JPEG",
            "width": 1024,
            "height": 1024,
        },
        "attribution": ATTRIBUTION,
        "label": None,
        "appeal": None,
    }
]
IMAGE_RECORD: list[Any] = [
    {
        **RESULT[0]["image"],
        "created_at": EXAMPLE_TIME,
        "appearances": [
            {
                "batch_id": EXAMPLE_ID,
                "batch_name": "uploads of May",
                "item_id": EXAMPLE_ID,
                "custom_id": "cat-1.jpg",
                "file_name": "cat-1.jpg",
                "state": "succeeded",
                "error_code": None,
                "error_detail": None,
                "created_at": EXAMPLE_TIME,
            }
        ],
        "answers": [
            {
                "id": EXAMPLE_ID,
                "model_version": "starter-3f1c0a9be2d4",
                "density_version": "starter-3f1c0a9be2d4-initial",
                "verdict": "generator",
                "generator": "sdxl-1.0",
                "p_value": 0.41,
                "created_at": EXAMPLE_TIME,
            }
        ],
    }
]
PROVENANCE: list[Any] = [
    {
        "image_id": EXAMPLE_ID,
        "sha256": EXAMPLE_SHA256,
        "exif": {
            "state": "present",
            "entries": [{"name": "Software", "value": "Example 3.1"}],
            "has_position": False,
        },
        "texts": [{"name": "parameters", "value": "a castle at dawn Steps: 30"}],
        "credentials": {
            "state": "valid",
            "signer": "Example Signer",
            "organisation": "Example Company",
            "is_signer_trusted": False,
            "signed_at": "2026-01-05T09:30:00+00:00",
            "made_with": ["Example 3.1"],
            "actions": ["c2pa.created"],
            "source_types": ["trainedAlgorithmicMedia"],
            "problems": [],
        },
    }
]
RESULT_PAGE: list[Any] = [{"data": RESULT, "next_cursor": None}]
NEAREST: list[Any] = [
    {
        "model_version": "starter-3f1c0a9be2d4",
        "data": [
            {
                "image_id": EXAMPLE_ID,
                "distance": 0.83,
                "verdict": "generator",
                "generator": "sdxl-1.0",
                "p_value": 0.41,
                "density_version": "starter-3f1c0a9be2d4-initial",
            }
        ],
    }
]
GENERATORS: list[Any] = [
    {
        "data": [
            {
                "name": "sdxl-1.0",
                "model_version": "starter-3f1c0a9be2d4",
                "kind": "known",
                "images": 63,
                "median_p_value": 0.47,
            }
        ],
        "model": {"version": "starter-3f1c0a9be2d4", "card": {"name": "starter"}},
    }
]
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
    "details": {"near_copies": 3, "over_cap": 0, "confirmed": {"sdxl-1.0": 41}},
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
