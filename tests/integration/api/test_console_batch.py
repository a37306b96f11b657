"""What the page of one batch asks for: itself, the places of its pictures, and the pictures."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.settings import Settings
from tests.integration.api.service import complete_batch, picture, register_model

NAMES = [f"wall/{n}" for n in range(5)]


@pytest.fixture(scope="module")
def batch(client: httpx.Client, engine: Engine) -> str:
    """A completed batch of five, of which one failed, with metadata that would be markup."""
    register_model(engine)
    return complete_batch(
        client,
        engine,
        {name: picture(800 + n) for n, name in enumerate(NAMES)},
        failed=("wall/3",),
        name="<i>night</i>",
        metadata={"<b>": "<script>alert(1)</script>"},
    )


@pytest.fixture(scope="module")
def browser(base_url: str, make_key: Callable[..., str]) -> Iterator[httpx.Client]:
    """Signed in with a key of the batch's tenant."""
    with httpx.Client(base_url=base_url, headers={"Origin": base_url}, timeout=60) as signed_in:
        assert signed_in.post("/console/sign-in", data={"key": make_key()}).status_code == 303
        yield signed_in


def test_page_escapes_what_clients_say(browser: httpx.Client, batch: str) -> None:
    text = browser.get(f"/console/batches/{batch}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert "<i>night</i>" not in text


def test_policy_names_the_store_alone(browser: httpx.Client, batch: str, settings: Settings) -> None:
    policy = browser.get(f"/console/batches/{batch}").headers["content-security-policy"]
    assert f"connect-src 'self' {settings.s3_endpoint_url};" in policy


def test_pictures_are_the_items(browser: httpx.Client, batch: str) -> None:
    entries = browser.get(f"/console/batches/{batch}/pictures").json()
    assert [entry["custom_id"] for entry in entries] == NAMES
    assert (entries[0]["generator"], entries[3]["error_code"]) == ("sd-2.1", "truncated")


def test_pictures_go_on_behind_a_place(browser: httpx.Client, batch: str) -> None:
    entries = browser.get(f"/console/batches/{batch}/pictures", params={"after": "wall/2"}).json()
    assert [entry["custom_id"] for entry in entries] == NAMES[3:]


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", 5),
        ("verdict=generator", 4),
        ("error_code=truncated", 1),
        ("p_min=0.9&p_max=", 0),
        ("p_max=nonsense", 5),
    ],
)
def test_places_count_what_filters_leave(browser: httpx.Client, batch: str, query: str, total: int) -> None:
    assert browser.get(f"/console/batches/{batch}/places?{query}").json()["total"] == total


def test_foreign_batch_has_no_page(base_url: str, make_key: Callable[..., str], batch: str) -> None:
    with httpx.Client(base_url=base_url, headers={"Origin": base_url}, timeout=60) as stranger:
        stranger.post("/console/sign-in", data={"key": make_key("strangers")})
        assert [stranger.get(f"/console/batches/{batch}{part}").status_code for part in ("", "/places")] == [
            404,
            404,
        ]
        assert stranger.get(f"/console/batches/{batch}/pictures").json() == []
