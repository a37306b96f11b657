"""An app on servers that do not exist, and a way to ask it without a network."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from api.app import create_app
from leaktrace.settings import Settings


def offline_app(**settings: Any) -> FastAPI:
    """The real app; whatever needs a server is answered 503."""
    return create_app(
        Settings(
            database_url="postgresql+psycopg://nobody:secret-password@127.0.0.1:1/none",
            broker_url="redis://127.0.0.1:1/0",
            s3_endpoint_url="http://127.0.0.1:1",
            s3_access_key="none",
            s3_secret_key="none",
            **settings,
        )
    )


def ask(app: Any, method: str, path: str, **arguments: Any) -> httpx.Response:
    """One request and its answer."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://leaktrace") as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(send())
