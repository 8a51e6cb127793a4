"""``./cloister doctor``: what this machine lacks for a profile, and what to do about it."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from core.cli.output import Outcome, OutcomeCommand
from core.host.devices import devices_find
from core.host.examination import examine
from core.host.finding import Finding
from core.host.fitness import fitness, problems
from core.host.paths import home_layout
from core.host.peaks import FILE_NAME, PeakStore
from core.settings.env import env
from core.settings.model_catalog import model_catalog
from core.settings.profile import profile_read, profiles_known
from models_local.store import Store

SIGNS = {"ok": "ok  ", "note": "note", "problem": "FAIL"}


class Command(OutcomeCommand):
    help = "Looks at this machine and says what to do; exit code 1 when something that the profile needs is missing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--profile",
            default=env().profile,
            help=f"look whether another profile would fit this host; known are {', '.join(profiles_known())}",
        )

    def outcome(self, **options: Any) -> Outcome:
        profile = profile_read(options["profile"])
        fits = fitness(
            profile,
            devices=devices_find(),
            store=Store(env().weights.resolve(), model_catalog()),
            peaks=PeakStore(home_layout(env().home_path).run / FILE_NAME),
        )
        findings = [*examine(profile), *fits]
        lacking = problems(findings)
        fit = not problems(fits)
        verdict = f"profile '{profile.name}' {'fits' if fit else 'does not fit'} this host"
        return Outcome(
            data={
                "profile": profile.name,
                "fits": fit,
                "healthy": not lacking,
                "findings": [dataclasses.asdict(finding) for finding in findings],
            },
            text="\n".join([*(_line(finding) for finding in findings), verdict]),
            exit_code=1 if lacking else 0,
        )


def _line(finding: Finding) -> str:
    line = f"{SIGNS[finding.verdict]}  {finding.name:<16} {finding.found}"
    return f"{line}\n{'':<23} -> {finding.advice}" if finding.advice else line
