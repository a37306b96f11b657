"""The examples of webhooks that the API's description shows."""

from typing import Any

from api.examples import EXAMPLE_ID, EXAMPLE_TIME

WEBHOOK_CREATE: list[Any] = [
    {
        "url": "https://hooks.example.com/leaktrace",
        "events": ["batch.finished", "drift.alarm"],
        "description": "the moderation desk",
    }
]
WEBHOOK_UPDATE: list[Any] = [{"enabled": False}]
WEBHOOK: list[Any] = [
    {
        **WEBHOOK_CREATE[0],
        "id": EXAMPLE_ID,
        "enabled": True,
        "disabled_at": None,
        "disabled_reason": None,
        "failing_since": None,
        "previous_secret_until": None,
        "created_at": EXAMPLE_TIME,
    }
]
WEBHOOK_WITH_SECRET: list[Any] = [
    {**WEBHOOK[0], "secret": "whsec_dGhpcyBpcyBhbiBleGFtcGxlIGFuZCBubyBzZWNyZXQ="}
]
WEBHOOKS: list[Any] = [{"data": WEBHOOK}]
ROTATION: list[Any] = [{"keep_previous_hours": 24}]
DELIVERY: list[Any] = [
    {
        "id": EXAMPLE_ID,
        "webhook_id": EXAMPLE_ID,
        "message_id": "msg_019ab1f05c3e7a108d532f6b8c1e9a40",
        "event": "batch.finished",
        "data": {"batch_id": EXAMPLE_ID, "name": "uploads of May", "state": "completed"},
        "state": "pending",
        "attempts": 1,
        "tries": [
            {
                "at": EXAMPLE_TIME,
                "status": 503,
                "error": "the receiver answered 503",
                "milliseconds": 41,
            }
        ],
        "next_attempt_at": "2026-01-05T09:30:05Z",
        "created_at": EXAMPLE_TIME,
        "delivered_at": None,
    }
]
DELIVERY_PAGE: list[Any] = [{"data": DELIVERY, "next_cursor": None}]
REPLAY: list[Any] = [{"since": EXAMPLE_TIME, "include_delivered": False}]
REPLAYED: list[Any] = [{"count": 3}]
