"""The real app on the real servers, served by uvicorn in a thread, and clients with keys of several kinds."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.records.database import transaction
from leaktrace.records.keys import SCOPES, create_key, ensure_tenant
from leaktrace.settings import Settings
from tests.integration.api.service import MakeClient, create_batch, serve_app


@pytest.fixture(scope="module")
def base_url(settings: Settings) -> Iterator[str]:
    with serve_app(settings) as url:
        yield url


@pytest.fixture(scope="module")
def make_key(engine: Engine) -> Callable[..., str]:
    """A key of a tenant, by default with all scopes and no end."""

    def make(
        tenant: str = "acme", *, scopes: tuple[str, ...] = SCOPES, expires_at: datetime | None = None
    ) -> str:
        with transaction(engine) as session:
            tenant_id = ensure_tenant(session, tenant)
            return create_key(session, tenant_id, name="test", scopes=scopes, expires_at=expires_at)

    return make


@pytest.fixture(scope="module")
def make_client(base_url: str, make_key: Callable[..., str]) -> Iterator[MakeClient]:
    """A client of the app; further arguments are those of `make_key`, `url` another app's address."""
    clients: list[httpx.Client] = []

    def make(*, url: str = base_url, key: str | None = None, **key_arguments: Any) -> httpx.Client:
        presented = key or make_key(**key_arguments)
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {presented}"}, timeout=60)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> httpx.Client:
    """A client that may do everything for the tenant acme."""
    return make_client()


@pytest.fixture
def batch_id(client: httpx.Client) -> str:
    """A new batch of acme's."""
    return create_batch(client)
