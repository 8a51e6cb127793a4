"""The running stack that a suite measures: started and filled through the commands that a user has."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.host.broker import EmbeddedBroker
from core.host.paths import home_layout
from core.host.postgres import EmbeddedPostgres
from core.host.process import wait_until
from core.settings.env import REPOSITORY, child_environment, environment_set

COLLECTION = "benchmark"


class CommandFailed(Exception):
    """A command of the product refused; the message is its own."""


def command(*arguments: str, **environment: str) -> dict[str, Any]:
    """Run ``./cloister ARGUMENTS --json`` and return its object; progress goes to this process's stderr.

    Raises:
        CommandFailed: It ended with an error.
    """
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments, "--json"],
        cwd=REPOSITORY,
        env=child_environment(PYTHONPATH=str(REPOSITORY), **environment),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"./cloister {' '.join(arguments)} ended with {done.returncode}: {done.stdout.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def stack_up() -> dict[str, Any]:
    """Start everything and wait until the pages answer; what runs already stays."""
    return command("up")


def stack_with(files: Sequence[str], *, collection: str = COLLECTION) -> dict[str, Any]:
    """Start everything and have these files and folders in a collection."""
    up = stack_up()
    command("ingest", *files, "--collection", collection, "--wait")
    return up


@contextlib.contextmanager
def web_stack(home: Path) -> Iterator[str]:
    """Run PostgreSQL, the broker and the web process alone in a home of their own; yields the address of the pages.

    From here on this process works in that home too. No worker and no engine runs beside what is measured.
    """
    environment_set(CLOISTER_HOME=str(home), CLOISTER_PORT="0")
    home.mkdir(parents=True, exist_ok=True)
    postgres, broker = EmbeddedPostgres(home), EmbeddedBroker(home)
    noted = home_layout(home).make().run / "port"
    noted.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        stack.callback(postgres.stop)
        postgres.start()
        stack.callback(broker.stop)
        broker.start()
        _manage("migrate", "--database", "owner", "--no-input", "--verbosity", "0")
        _manage("spaces_ensure")
        web = subprocess.Popen(
            [sys.executable, "-m", "core.host.web_process"],
            cwd=REPOSITORY,
            env=child_environment(PYTHONPATH=str(REPOSITORY)),
            stdout=subprocess.DEVNULL,
            stderr=stack.enter_context((home_layout(home).logs / "web.log").open("ab")),
        )
        stack.callback(web.wait)
        stack.callback(web.terminate)
        wait_until(noted.is_file, timeout_s=120, what="a port of the web process")
        port = int(noted.read_text())
        wait_until(lambda: _listens(port), timeout_s=120, what="a web process that listens")
        yield f"http://127.0.0.1:{port}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _manage(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=child_environment(PYTHONPATH=str(REPOSITORY)),
        stdout=sys.stderr,
        check=True,
    )
