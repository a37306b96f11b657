"""The documentation of the API: /openapi.json, and a page at /docs that asks no other host for anything.

The page and its start lie in `docs_page/`, Swagger UI comes out of the package `fastapi-swagger`; a content security
policy holds the browser to them.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from api import (
    administration_schemas,
    model_schemas,
    result_schemas,
    schemas,
    status_schemas,
    webhook_schemas,
)
from api.documents import SERVER_ERROR
from api.schemas import Problem

MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html; charset=utf-8"}
PAGE = files("api") / "docs_page"
SWAGGER_UI = files("fastapi_swagger") / "resources"
SERVED = {
    "start.js": PAGE / "start.js",
    "swagger-ui-bundle.js": SWAGGER_UI / "swagger-ui-bundle.js",
    "swagger-ui.css": SWAGGER_UI / "swagger-ui.css",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
METHODS = ("get", "put", "post", "delete", "patch")


def add_documentation(app: FastAPI) -> None:
    """Serve /docs and its files, and complete what /openapi.json says."""
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.add_api_route("/docs", lambda: _serve(PAGE / "index.html"), include_in_schema=False, name="docs")
    for name, file in SERVED.items():
        app.add_api_route(f"/docs/{name}", _server(file), include_in_schema=False, name=name)


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once an app."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        _add_problem_schemas(document)
        _restore_examples(document)
        for operations in document["paths"].values():
            for method in METHODS:
                if method in operations:
                    _complete(operations[method])
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
    """Write what is the same for every operation, and take back what a URL or header cannot express: null."""
    operation["summary"], _, operation["description"] = operation["description"].partition(". ")
    operation["summary"] = operation["summary"].rstrip(".")
    for parameter in operation.get("parameters", []):
        kinds = parameter["schema"].get("anyOf", [])
        given = [kind for kind in kinds if kind != {"type": "null"}]
        if len(given) == 1:
            del parameter["schema"]["anyOf"]
            parameter["schema"].update(given[0])
    operation["responses"]["500"] = SERVER_ERROR


def _add_problem_schemas(document: dict[str, Any]) -> None:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")
    document.setdefault("components", {}).setdefault("schemas", {}).update({**parts, "Problem": schema})


def _restore_examples(document: dict[str, Any]) -> None:
    """Put back the nulls of examples, which the framework leaves out."""
    for module in (
        schemas,
        result_schemas,
        webhook_schemas,
        administration_schemas,
        model_schemas,
        status_schemas,
    ):
        for name, described in document["components"]["schemas"].items():
            model = getattr(module, name, None)
            if model is not None and "examples" in described:
                described["examples"] = model.model_config["json_schema_extra"]["examples"]


def _server(file: Traversable) -> Any:
    return lambda: _serve(file)


def _serve(file: Traversable) -> Response:
    media_type = MEDIA_TYPES[file.name[file.name.rindex(".") :]]
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "max-age=3600"}
    return Response(file.read_bytes(), media_type=media_type, headers=headers)
