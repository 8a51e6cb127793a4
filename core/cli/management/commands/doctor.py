"""``./cloister doctor``: what this machine lacks, and what to do about it."""

from __future__ import annotations

import dataclasses
from typing import Any

from core.cli.output import Outcome, OutcomeCommand, models_missing
from core.host.examination import Finding, examine
from core.settings.env import env
from core.settings.profile import profile

SIGNS = {"ok": "ok  ", "note": "note", "problem": "FAIL"}


class Command(OutcomeCommand):
    help = "Looks at this machine and says what to do; exit code 1 when something needed is missing."

    def outcome(self, **_options: Any) -> Outcome:
        findings = [*examine(profile()), _models()]
        problems = [finding for finding in findings if finding.verdict == "problem"]
        return Outcome(
            data={"healthy": not problems, "findings": [dataclasses.asdict(finding) for finding in findings]},
            text="\n".join(_line(finding) for finding in findings),
            exit_code=1 if problems else 0,
        )


def _models() -> Finding:
    missing = models_missing()
    if missing:
        found = f"{env().weights} lacks {', '.join(missing)}"
        return Finding(name="models", verdict="problem", found=found, advice="run ./cloister models pull")
    return Finding(name="models", verdict="ok", found=f"all of profile '{profile().name}' in {env().weights}")


def _line(finding: Finding) -> str:
    line = f"{SIGNS[finding.verdict]}  {finding.name:<16} {finding.found}"
    return f"{line}\n{'':<23} -> {finding.advice}" if finding.advice else line
