"""Lists are written with commas, however the settings are read."""

from ipaddress import ip_network

import pytest

from deploy.embedded.stack import settings_from
from leaktrace.settings import Settings

SERVERS = {
    "LEAKTRACE_DATABASE_URL": "postgresql+psycopg://u:p@127.0.0.1/d",
    "LEAKTRACE_BROKER_URL": "redis://127.0.0.1",
    "LEAKTRACE_S3_ACCESS_KEY": "key",
    "LEAKTRACE_S3_SECRET_KEY": "secret",
}
NETWORKS = {"LEAKTRACE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8, fd00::/8"}
EXPECTED = (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))


def test_environment_lists_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SERVERS, **NETWORKS}.items():
        monkeypatch.setenv(name, value)
    assert Settings().webhook_allowed_networks == EXPECTED  # type: ignore[call-arg]


def test_stack_lists_networks() -> None:
    assert settings_from(SERVERS | NETWORKS).webhook_allowed_networks == EXPECTED


def test_secret_keys_are_hidden() -> None:
    settings = settings_from(SERVERS | {"LEAKTRACE_SECRET_KEYS": "newest, older"})
    assert [key.get_secret_value() for key in settings.secret_keys] == ["newest", "older"]
    assert "older" not in repr(settings)


def test_no_networks_by_default() -> None:
    assert settings_from(SERVERS).webhook_allowed_networks == ()
