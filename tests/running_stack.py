"""The whole stack as a user starts it, once for the lane, on a free port and in a home of its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.cli.client import Client
from core.settings.env import REPOSITORY, child_environment, env


@dataclasses.dataclass(frozen=True)
class Stack:
    """A running stack and its command line."""

    url: str
    home: Path
    client: Client

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run one command with --json; returns exit code and object."""
        return cloister(*arguments, home=self.home)

    def ingest(self, paths: Sequence[Path], *, collection: str) -> list[dict[str, Any]]:
        """Ingest and wait; returns the documents in the order of the paths."""
        _, answer = self.run("ingest", *map(str, paths), "--collection", collection, "--wait")
        return answer["documents"]

    def search(self, text: str, *, collection: str, **arguments: Any) -> list[dict[str, Any]]:
        return self.client.search(collection=collection, text=text, **arguments)["hits"]

    def ask(self, question: str, *, collection: str) -> dict[str, Any]:
        return next(data for event, data in self.client.ask(question, collection=collection) if event == "done")


def cloister(*arguments: str, home: Path) -> tuple[int, dict[str, Any]]:
    environment = child_environment(CLOISTER_HOME=str(home), DJANGO_SETTINGS_MODULE="core.settings.base")
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments, "--json"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    home = env().home_path
    code, up = cloister("up", "--port", "0", home=home)
    try:
        assert code == 0, up
        running = Stack(url=up["url"], home=home, client=Client())
        yield running
        running.client.close()
    finally:
        cloister("down", home=home)
