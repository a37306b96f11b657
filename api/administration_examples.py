"""The examples of keys, tenants, the audit trail and the service's status that the API's description shows."""

from typing import Any

from api.examples import EXAMPLE_ID, EXAMPLE_TIME

KEY_CREATE: list[Any] = [
    {"name": "night shift", "scopes": ["batches:read", "batches:write", "results:read"], "expires_days": 90}
]
KEY: list[Any] = [
    {
        "id": "0123456789abcdef",
        "name": "night shift",
        "scopes": ["batches:read", "batches:write", "results:read"],
        "state": "live",
        "labels_are_trusted": False,
        "created_at": EXAMPLE_TIME,
        "expires_at": "2026-04-05T09:30:00Z",
        "revoked_at": None,
        "last_used_at": None,
    }
]
KEY_WITH_SECRET: list[Any] = [
    {**KEY[0], "key": "lk_live_0123456789abcdef_this-is-an-example-and-no-secret-000000000000"}
]
TENANT_CREATE: list[Any] = [{"name": "newsroom", "daily_image_quota": 50_000}]
QUOTA_CHANGE: list[Any] = [{"daily_image_quota": 100_000}, {"daily_image_quota": None}]
TENANT: list[Any] = [
    {
        "id": EXAMPLE_ID,
        "name": "newsroom",
        "daily_image_quota": 50_000,
        "quota_in_force": 50_000,
        "images_today": 1_204,
        "live_keys": 2,
        "created_at": EXAMPLE_TIME,
    }
]
AUDIT_EVENT: list[Any] = [
    {
        "id": 41,
        "at": EXAMPLE_TIME,
        "tenant": "newsroom",
        "actor": "operator:ada",
        "action": "key.revoked",
        "subject": "0123456789abcdef",
        "details": {},
    }
]
STATUS: list[Any] = [
    {
        "queue": {"messages": 2, "images": 128},
        "workers": [
            {
                "id": "worker-1",
                "alive": True,
                "device": "cpu",
                "model_version": "starter-3b720dc90e97",
                "density_version": "starter-density-a8bb64d0d12f",
                "started_at": EXAMPLE_TIME,
                "seen_at": EXAMPLE_TIME,
            }
        ],
        "minutes": [{"at": EXAMPLE_TIME, "attributed": 412, "failed": 1}],
        "stages": {"attribute": {"median": 0.12, "p95": 0.19}},
        "waiting": {"median": 4.1, "p95": 11.8},
        "failures": [{"code": "truncated", "images": 1, "last_at": EXAMPLE_TIME}],
        "alarms": [{"name": "broker", "level": "bad", "detail": "queue_unavailable"}],
    }
]
