"""The running stack that a suite measures: started and filled through the commands that a user has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from core.settings.env import REPOSITORY, child_environment

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
