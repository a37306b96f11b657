"""`make clean`: what it takes away, and when it refuses."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CLEAN = Path("deploy", "clean.sh")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which a stack has run, as root's do: with its database elsewhere."""
    clone = tmp_path / "clone"
    for folder in ("deploy", ".leaktrace/valkey", ".venv/bin", "leaktrace/__pycache__"):
        (clone / folder).mkdir(parents=True)
    shutil.copy(ROOT / CLEAN, clone / CLEAN)
    (clone / "leaktrace" / "kept.py").touch()
    (clone / ".leaktrace" / "owner.lock").write_text(f"{os.getpid()}\n")
    (tmp_path / "cluster" / "data").mkdir(parents=True)
    (clone / ".leaktrace" / "postgres").symlink_to(tmp_path / "cluster")
    return clone


def test_what_make_made_goes(clone: Path) -> None:
    assert _clean(clone).returncode == 0
    left = {str(path.relative_to(clone)) for path in clone.rglob("*") if path.is_file()}
    assert left == {str(CLEAN), "leaktrace/kept.py"}


def test_database_elsewhere_goes_too(clone: Path) -> None:
    _clean(clone)
    assert not (clone.parent / "cluster").exists()


def test_data_in_use_is_kept(clone: Path) -> None:
    with (clone / ".leaktrace" / "owner.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = _clean(clone)
    assert result.returncode == 1
    assert f"process {os.getpid()} is using .leaktrace" in result.stderr
    assert (clone.parent / "cluster" / "data").exists()


def _clean(clone: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", clone / CLEAN], capture_output=True, text=True, timeout=60)
