"""What every command shares: ``--json`` prints one object on stdout, progress and logs go to stderr."""

from __future__ import annotations

import abc
import argparse
import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import BaseCommand

from core.access.errors import CloisterError
from core.cli.client import ApiError, NotRunning
from core.host.paths import PlaceRefused
from core.host.process import ServerFailed
from core.host.secrets import SecretMissing
from core.settings.env import env
from core.settings.model_catalog import model_catalog
from core.settings.profile import ProfileError, profile
from models_local.errors import ModelsError
from models_local.store import Store

EXPECTED = (
    ApiError,
    CloisterError,
    ModelsError,
    NotRunning,
    PlaceRefused,
    ProfileError,
    SecretMissing,
    ServerFailed,
)
"""Errors whose message tells the user what to do; anything else is a bug and shows its traceback."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command found.

    Attributes:
        data: The object that ``--json`` prints.
        text: What a person reads instead.
        exit_code: 0 where all is well.
    """

    data: Mapping[str, Any]
    text: str = ""
    exit_code: int = 0


class OutcomeCommand(BaseCommand, abc.ABC):
    """A command that returns an Outcome; an expected error becomes one sentence and exit code 1."""

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    def handle(self, *_args: str, **options: Any) -> None:
        try:
            outcome = self.outcome(**options)
        except EXPECTED as error:
            outcome = _refusal(error)
        if options["json"]:
            self.stdout.write(json.dumps(outcome.data, indent=2, default=str))
        elif outcome.text:
            (self.stderr if "error" in outcome.data else self.stdout).write(outcome.text)
        if outcome.exit_code:
            sys.exit(outcome.exit_code)

    @abc.abstractmethod
    def outcome(self, **options: Any) -> Outcome:
        """Do the work that the options ask for."""


def _refusal(error: Exception) -> Outcome:
    code = getattr(error, "code", type(error).__name__)
    return Outcome(data={"error": {"code": code, "message": str(error)}}, text=str(error), exit_code=1)


def is_ready(answer: Mapping[str, Any]) -> bool:
    """Tell from an answer of /api/status whether the pages answer and the engines that come first can work."""
    workers = answer.get("workers")
    return answer.get("web") == "ready" and isinstance(workers, dict) and bool(workers.get("ready"))


def models_missing() -> list[str]:
    """Return the models that the profile needs and the store lacks."""
    store = Store(env().weights, model_catalog())
    wanted = {name for role in profile().roles.values() for name in role.models}
    return sorted(name for name in wanted if not store.present(name))


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Tell stderr what begins, and the seconds it took; one line, also when it fails."""
    begun_s = time.monotonic()
    sys.stderr.write(f"{what} ... ")
    sys.stderr.flush()
    done = "failed"
    try:
        yield
        done = "done"
    finally:
        sys.stderr.write(f"{done}, {time.monotonic() - begun_s:.1f} s\n")
        sys.stderr.flush()
