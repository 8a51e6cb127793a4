"""``./cloister bench [SUITE]``: each suite is a module of benchmarks/, started as a subprocess."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from core.cli.output import Outcome, OutcomeCommand, step
from core.settings.env import REPOSITORY, child_environment

COLLECTION = "benchmark"

SUITES = {"refusal": ("benchmarks.refusal", ("configs/samples", "tests/formats/files"))}
"""Each suite's module, and the files that must be in the collection it measures."""


class Command(OutcomeCommand):
    help = "Runs the benchmarks; results are written to benchmarks/results/."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("suites", nargs="*", choices=[[], *SUITES], metavar="SUITE", help=", ".join(SUITES))

    def outcome(self, **options: Any) -> Outcome:
        results = {name: _run(name) for name in options["suites"] or SUITES}
        return Outcome(data={"results": results}, text=json.dumps(results, indent=2))


def _run(name: str) -> dict[str, Any]:
    module, files = SUITES[name]
    with step(f"{name}: start and ingest"):
        _command("up")
        _command("ingest", *files, "--collection", COLLECTION, "--wait")
    with step(f"{name}: measure"):
        done = _start(["-m", module, COLLECTION])
    done.check_returncode()
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _command(*arguments: str) -> None:
    _start(["manage.py", *arguments, "--json"])


def _start(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=child_environment(PYTHONPATH=str(REPOSITORY)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
