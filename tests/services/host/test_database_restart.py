"""A server of its own in each test: the shared one must not be killed."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from core.host.paths import socket_directory
from core.host.postgres import EmbeddedPostgres
from core.host.process import ServerFailed, wait_until

pytestmark = pytest.mark.services


@pytest.fixture
def home() -> Iterator[Path]:
    # mkdtemp's folder is 0700: for root's server, which runs under another number, that is the hard case.
    root = Path(tempfile.mkdtemp(prefix="cloister-restart-")).resolve()
    filler = 150 - len(str(root)) - 2
    home = root / ("a" * (filler // 2)) / ("b" * (filler - filler // 2))
    assert len(str(home)) == 150
    yield home
    shutil.rmtree(socket_directory(home))
    shutil.rmtree(root)


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(home)
    server.start()
    yield server
    server.stop()


class TestEmbeddedPostgres:
    def test_keeps_what_was_committed_when_it_is_killed(self, postgres: EmbeddedPostgres) -> None:
        with psycopg.connect(postgres.url("owner"), autocommit=True) as owner:
            owner.execute("create table kept (n int)")
            owner.execute("insert into kept values (7)")
        killed = postgres.pid
        assert killed is not None
        children = psutil.Process(killed).children()

        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: postgres.pid is None, timeout_s=20, what="the end of PostgreSQL")
        assert (postgres.data / "postmaster.pid").is_file()
        postgres.start()

        assert children
        assert postgres.pid not in (None, killed)
        with psycopg.connect(postgres.url("app")) as app:
            assert app.execute("select n from kept").fetchone() == (7,)

    def test_is_found_whole_by_a_second_start(self, postgres: EmbeddedPostgres, home: Path) -> None:
        postgres.stop()
        again = EmbeddedPostgres(home)
        again.start()
        try:
            again.roles_ensure()

            assert again.answers()
        finally:
            again.stop()

    def test_names_the_cause_when_the_passwords_belong_to_another_cluster(
        self, postgres: EmbeddedPostgres, home: Path
    ) -> None:
        (home / "secrets" / "postgres_admin").unlink()

        with pytest.raises(ServerFailed, match="restore the folder 'secrets'"):
            postgres.answers()

    def test_leaves_no_half_made_cluster(self, home: Path) -> None:
        drafts = home / "postgres"
        server = EmbeddedPostgres(home)

        server.initialise()

        assert [path.name for path in drafts.iterdir()] == ["data"]
