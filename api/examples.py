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
