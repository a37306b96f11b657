"""A real browser on the real service, started once for all browser tests, and people of each role who are signed in."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from deploy.embedded.servers import remove_data
from deploy.embedded.stack import Stack
from leaktrace.client import Client
from leaktrace.passwords import hash_password
from leaktrace.records.console_models import ROLES
from leaktrace.records.database import connect_database, transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.operators import create_operator
from tests.browser.chromium import MISSING, find_chromium, start_chromium

TENANT = "default"
PASSWORD = "correct horse battery"
NewPage = Callable[..., Page]

expect.set_options(timeout=20_000)  # of a machine that does other work beside


@dataclass
class Service:
    """The running stack: its address, a client of its API, and its records."""

    stack: Stack

    @property
    def url(self) -> str:
        return self.stack.api_url

    @cached_property
    def client(self) -> Client:
        return Client(self.stack.api_url, self.stack.key)

    @cached_property
    def engine(self) -> Engine:
        return connect_database(self.stack.settings())


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser, or a skip that says what is missing; printed too, so that it cannot be overlooked."""
    path = find_chromium()
    if path is None:
        sys.__stderr__.write(f"\n{MISSING}\n")
        pytest.skip(MISSING)
    return path


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    with start_chromium(chromium_path) as started:
        yield started


@pytest.fixture(scope="session")
def service(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service with its starter model; one operator a role, named after it."""
    assert chromium_path
    data_dir: Path = tmp_path_factory.mktemp("browser") / "data"
    with Stack(data_dir, preferred_port=None) as stack:
        service = Service(stack)
        password_hash = hash_password(PASSWORD)
        with transaction(service.engine) as session:
            tenant_id = ensure_tenant(session, TENANT)
            for role in ROLES:
                create_operator(session, tenant_id, name=role, role=role, password_hash=password_hash)
        yield service
        service.client.disconnect()
        service.engine.dispose()
    remove_data(data_dir)


@pytest.fixture(scope="session")
def cookies(browser: Browser, service: Service) -> dict[str, list[dict[str, object]]]:
    """The cookies of a signed-in session for each role, so that tests need not sign in one by one."""
    kept: dict[str, list[dict[str, object]]] = {}
    for role in ROLES:
        context = browser.new_context()
        page = context.new_page()
        sign_in(page, service.url, role)
        kept[role] = context.cookies()
        context.close()
    return kept


@pytest.fixture
def new_page(
    browser: Browser, service: Service, cookies: dict[str, list[dict[str, object]]]
) -> Iterator[NewPage]:
    """Makes pages: `new_page("viewer")` is signed in, `new_page()` is not; further arguments are the context's.

    A test fails when a page of its own breaks the content security policy or raises in a script.
    """
    contexts, faults = [], []

    def make(role: str | None = None, **options: object) -> Page:
        context = browser.new_context(base_url=service.url, **options)  # type: ignore[arg-type]
        contexts.append(context)
        if role is not None:
            context.add_cookies(cookies[role])  # type: ignore[arg-type]
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if _is_fault(message.text) else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []


def sign_in(page: Page, url: str, name: str, password: str = PASSWORD) -> None:
    """Fill in the form and wait for what follows."""
    page.goto(f"{url}/console/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_load_state()


def _is_fault(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text
