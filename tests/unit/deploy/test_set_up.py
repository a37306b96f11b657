"""The set-up that `make` runs: what it says to a newcomer whose machine lacks something, and what it pins."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SET_UP = Path("deploy", "set-up.sh")
# As of a machine: a name, and what that Python answers to being asked its version or for a module.
OLD_PYTHON = "exit 1"
BARE_PYTHON = """case "$2" in *ensurepip*) exit 1 ;; *print*) echo 3.12 ;; esac"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the script needs of a fresh clone."""
    clone = tmp_path / "clone"
    (clone / "deploy").mkdir(parents=True)
    for name in (SET_UP, Path("pyproject.toml"), Path("constraints.txt")):
        shutil.copy(ROOT / name, clone / name)
    return clone


def test_missing_python_is_explained(clone: Path) -> None:
    result = _set_up(clone, python3=OLD_PYTHON)
    assert result.returncode == 1
    assert "no Python 3.11 or newer was found" in result.stderr
    assert "apt install python3 python3-venv" in result.stderr


def test_wrong_choice_is_named(clone: Path) -> None:
    result = _set_up(clone, python3=OLD_PYTHON, PYTHON="python3")
    assert "PYTHON=python3 is not a Python 3.11 or newer" in result.stderr


def test_missing_venv_package_is_named(clone: Path) -> None:
    result = _set_up(clone, python3=BARE_PYTHON)
    assert result.returncode == 1
    assert "apt install python3.12-venv" in result.stderr


def test_nothing_is_left_when_refused(clone: Path) -> None:
    _set_up(clone, python3=BARE_PYTHON)
    assert not (clone / ".venv").exists()


def test_makefile_explains_its_variables() -> None:
    makefile = (ROOT / "Makefile").read_text()
    explained = set(re.findall(r"^# ([A-Z_]+)=", makefile, re.MULTILINE))
    handed_on = set(re.findall(r'([A-Z_]+)="\$\(\1\)"', makefile))
    assert explained == handed_on == {"PYTHON", "TORCH_INDEX_URL", "TORCH_SPEC"}


def test_torch_is_pinned_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if line.startswith("torch==")] == ["torch==2.13.0"]


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    wanted = {_canonical(name) for name in [*project["dependencies"], *extras]}
    pinned = {
        _canonical(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert wanted - pinned == set()


def _set_up(clone: Path, *, python3: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the script where the only Python is a `python3` with this body."""
    programs = clone.parent / "bin"
    programs.mkdir()
    for name in ("sh", "uname", "dirname", "grep", "cat", "cksum", "cp"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").write_text(f"#!/bin/sh\n{python3}\n")
    (programs / "python3").chmod(0o755)
    environment = {"PATH": str(programs), **variables}
    return subprocess.run(["sh", clone / SET_UP], env=environment, capture_output=True, text=True, timeout=60)


def _canonical(requirement: str) -> str:
    name = re.split(r"[\[<>=!~;\s]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
