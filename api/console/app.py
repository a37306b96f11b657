"""Builds the console as an app of its own below /console, so that its answers, refusals and headers are for browsers.

A page's module brings a `router`; adding the page is adding the module to `PAGES` and its entry to the navigation.
"""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.console import (
    audit,
    batch,
    batches,
    events,
    generators,
    images,
    keys,
    models,
    review,
    review_bulk,
    sign_in,
    static_files,
    system,
    tenants,
    webhooks,
)
from api.console.failures import answer_framework, answer_invalid, answer_ours
from api.console.security import BrowserProtection
from api.dependencies import Services
from leaktrace.errors import LeaktraceError

PAGES = (
    sign_in,
    static_files,
    events,
    batches,
    batch,
    images,
    review_bulk,
    review,
    generators,
    models,
    system,
    keys,
    tenants,
    webhooks,
    audit,
)


def create_console(services: Services) -> FastAPI:
    """The console on the services of the app that it is mounted in."""
    console = FastAPI(title="Leaktrace console", openapi_url=None, docs_url=None, redoc_url=None)
    console.state.services = services
    for page in PAGES:
        console.include_router(page.router)
    console.add_exception_handler(LeaktraceError, answer_ours)
    console.add_exception_handler(RequestValidationError, answer_invalid)
    console.add_exception_handler(HTTPException, answer_framework)
    console.add_middleware(BrowserProtection, store_origin=services.store.public_origin())
    return console
