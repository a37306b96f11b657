"""The description is complete, and the page that shows it asks no other host."""

import re
from pathlib import Path
from typing import Any

import pytest

import api
from tests.unit.api.asking import ask, offline_app

PAGE = Path(api.__file__).parent / "docs_page"
DOCUMENT: dict[str, Any] = offline_app().openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
BODIES = [name for name, operation in OPERATIONS.items() if "requestBody" in operation]


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_described(name: str) -> None:
    assert OPERATIONS[name]["summary"]
    assert len(OPERATIONS[name]["tags"]) == 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_success_has_an_example(name: str) -> None:
    (status,) = [status for status in OPERATIONS[name]["responses"] if status.startswith("2")]
    contents = OPERATIONS[name]["responses"][status].get("content", {})
    assert all(has_example(content) for content in contents.values())


@pytest.mark.parametrize("name", BODIES)
def test_body_has_an_example(name: str) -> None:
    contents = OPERATIONS[name]["requestBody"]["content"]
    assert all(has_example(content) for content in contents.values())


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "/v1/" in name])
def test_operation_needs_a_key(name: str) -> None:
    assert OPERATIONS[name]["security"] == [{"ApiKey": []}]


@pytest.mark.parametrize("name", OPERATIONS)
def test_problems_are_described(name: str) -> None:
    failures = {
        s: r for s, r in OPERATIONS[name]["responses"].items() if s[0] in "45" and "/readyz" not in name
    }
    assert all("application/problem+json" in response["content"] for response in failures.values())


def test_page_is_served() -> None:
    page = ask(offline_app(), "GET", "/docs")
    assert (page.status_code, "docs/swagger-ui-bundle.js" in page.text) == (200, True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("swagger-ui-bundle.js", b"SwaggerUIBundle"),
        ("swagger-ui.css", b".swagger-ui"),
        ("start.js", b"openapi.json"),
    ],
)
def test_page_files_are_served(name: str, content: bytes) -> None:
    answer = ask(offline_app(), "GET", f"/docs/{name}")
    assert (answer.status_code, content in answer.content) == (200, True)


@pytest.mark.parametrize("name", ["index.html", "start.js"])
def test_page_names_no_other_host(name: str) -> None:
    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", (PAGE / name).read_text()) == []


def test_policy_forbids_other_hosts() -> None:
    policy = ask(offline_app(), "GET", "/docs").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def has_example(content: dict[str, Any]) -> bool:
    if "example" in content or "examples" in content:
        return True
    schema = content["schema"]
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return "examples" in schema
