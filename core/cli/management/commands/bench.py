"""``./cloister bench [SUITE ...]``: each suite is a module of benchmarks/ that can be started, run as a subprocess."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from core.cli.output import Outcome, OutcomeCommand, step
from core.settings.env import REPOSITORY, child_environment

FOLDER = REPOSITORY / "benchmarks"
STARTED = 'if __name__ == "__main__":'
"""What makes a module of benchmarks/ a suite; the others are shared by them."""


class Command(OutcomeCommand):
    help = "Runs the benchmarks; results are written to benchmarks/results/. Without a name, all of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        known = suites()
        parser.add_argument("suites", nargs="*", choices=[[], *known], metavar="SUITE", help=", ".join(known))
        parser.add_argument("--list", action="store_true", help="show the suites and what each asks")

    def outcome(self, **options: Any) -> Outcome:
        known = suites()
        if options["list"]:
            width = max(map(len, known))
            lines = [f"{name.ljust(width)}  {question}" for name, question in known.items()]
            return Outcome(data={"suites": known}, text="\n".join(lines))
        results = {name: _run(name) for name in options["suites"] or known}
        failed = any("error" in result for result in results.values())
        return Outcome(data={"results": results}, text=json.dumps(results, indent=2), exit_code=int(failed))


def suites() -> dict[str, str]:
    """Return the question of every suite by its name."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text()
        if STARTED in source:
            found[path.stem] = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return found


def _run(name: str) -> dict[str, Any]:
    with step(f"{name}: measure"):
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"],
            cwd=REPOSITORY,
            env=child_environment(PYTHONPATH=str(REPOSITORY)),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        return {"error": {"code": "suite_failed", "message": f"the suite '{name}' ended with {done.returncode}"}}
    result: dict[str, Any] = json.loads(done.stdout)
    return result
