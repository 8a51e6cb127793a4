"""``./cloister test [LANE ...]``: runs the test lanes."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from core.cli.lanes import LANES, LaneResult, models_absent, models_needed
from core.cli.output import Outcome, OutcomeCommand

EXIT_FAILED = 1
EXIT_NOT_RUN = 3


class Command(OutcomeCommand):
    help = "Runs the test lanes; exit code 1 when a test failed, 3 when a lane could not be run."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("lanes", nargs="*", metavar="LANE", help=", ".join(lane.name for lane in LANES))

    def outcome(self, **options: Any) -> Outcome:
        known = {lane.name for lane in LANES}
        unknown = sorted(set(options["lanes"]) - known)
        if unknown:
            text = f"there is no lane {', '.join(unknown)}; known are {', '.join(lane.name for lane in LANES)}"
            return Outcome(data={"error": {"code": "unknown_lane", "message": text}}, text=text, exit_code=2)
        output = sys.stderr if options["json"] else sys.stdout
        lanes = [lane for lane in LANES if not options["lanes"] or lane.name in options["lanes"]]
        if any(models_needed in lane.needs for lane in lanes):
            _models_provide()
        results = []
        for lane in lanes:
            sys.stderr.write(f"=== {lane.name}\n")
            sys.stderr.flush()
            results.append(lane.run(output))
        return _outcome(results)


def _models_provide() -> None:
    missing = models_absent()
    if not missing:
        return
    sys.stderr.write("=== models\n")
    try:
        call_command("models", "pull", *missing, stdout=sys.stderr)
    except CommandError as error:
        # The lanes that need them are then NOT RUN, and say which command provides them.
        sys.stderr.write(f"{error}\n")


def _outcome(results: list[LaneResult]) -> Outcome:
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    not_run = [result for result in results if result.state == "not run"]
    lines = [_line(result) for result in results]
    return Outcome(
        data={"passed": passed, "failed": failed, "lanes": [dataclasses.asdict(result) for result in results]},
        text="\n".join([*lines, f"{passed} passed, {failed} failed"]),
        exit_code=EXIT_FAILED if failed else EXIT_NOT_RUN if not_run else 0,
    )


def _line(result: LaneResult) -> str:
    if result.state == "not run":
        return f"{result.name:<13} NOT RUN: {result.reason}"
    counts = f"{result.passed} passed, {result.failed} failed, {result.seconds:.0f} s"
    return f"{result.name:<13} {result.state}: {counts}" + (f" ({result.reason})" if result.reason else "")
