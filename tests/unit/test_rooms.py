"""The import contracts between the rooms, read from the source, and that the API really runs without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "leaktrace/science": {
        "celery",
        "kombu",
        "sqlalchemy",
        "redis",
        "boto3",
        "botocore",
        "fastapi",
        "c2pa",
        "api",
        "worker",
    },
    "leaktrace/records": {"celery", "redis", "boto3", "fastapi", "torch", "diffusers", "api", "worker"},
    "leaktrace": {"api", "worker"},
    "api": {"torch", "diffusers", "worker"},
    "worker": {"fastapi", "c2pa", "api"},
}
SCIENCE_MAY_SEE = {"leaktrace.errors", "leaktrace.science", "leaktrace.weights"}


def imported_modules(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("room", FORBIDDEN)
def test_room_imports_nothing_forbidden(room: str) -> None:
    sources = list((ROOT / room).rglob("*.py"))
    assert sources, f"no source in {room}"
    trespasses = [
        f"{source.relative_to(ROOT)} imports {module}"
        for source in sources
        for module in imported_modules(source)
        if module.split(".")[0] in FORBIDDEN[room]
    ]
    assert trespasses == []


def test_science_knows_only_itself() -> None:
    strangers = [
        f"{source.relative_to(ROOT)} imports {module}"
        for source in (ROOT / "leaktrace/science").rglob("*.py")
        for module in imported_modules(source)
        if module.startswith("leaktrace.") and not any(module.startswith(known) for known in SCIENCE_MAY_SEE)
    ]
    assert strangers == []


def test_worker_never_imports_training() -> None:
    trainers = [
        str(source.relative_to(ROOT))
        for source in (ROOT / "worker").rglob("*.py")
        if any("science.training" in module for module in imported_modules(source))
    ]
    assert trainers == []


def test_worker_never_reads_provenance() -> None:
    readers = [
        str(source.relative_to(ROOT))
        for source in (ROOT / "worker").rglob("*.py")
        if any(module.startswith("leaktrace.provenance") for module in imported_modules(source))
    ]
    assert readers == []


def test_api_runs_without_torch() -> None:
    check = "import sys, api.app; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
