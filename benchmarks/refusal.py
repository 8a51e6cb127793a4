"""Does the evidence tell answerable questions from others? Fits refusal on one half, reports on the other.

The weights that it fits are printed in the form of configs/calibration.toml; "deployed" reports those that stand there.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import django

from benchmarks.labelled import files, questions
from benchmarks.report import Figure, report
from benchmarks.stack import COLLECTION, stack_with
from core.settings.calibration import Refusal, calibration
from core.settings.env import environment_default

if TYPE_CHECKING:
    from benchmarks.evidence_fit import Case

GOAL = 0.85


def measure(cases: Sequence[Case]) -> dict[str, Any]:
    """Fit on the half for fitting and report on the other, by groups."""
    from benchmarks.evidence_fit import refusal_fit, refusal_report  # Django must be set up before

    fitted = {"english": refusal_fit(cases, english=True), "other": refusal_fit(cases, english=False)}
    reported = [case for case in cases if not case.for_fitting]
    groups = {
        "all": reported,
        "committed_samples": [case for case in reported if case.source.startswith("questions.")],
        "public_style": [case for case in reported if case.source.startswith("public.")],
        "english": [case for case in reported if case.language == "english"],
        "other_languages": [case for case in reported if case.language != "english"],
    }
    return {
        "fitted": {language: dataclasses.asdict(weights) for language, weights in fitted.items()},
        "fitted_half": refusal_report([case for case in cases if case.for_fitting], fitted),
        "reported_half": {name: refusal_report(group, fitted) for name, group in groups.items()},
        "deployed_on_reported_half": {
            name: refusal_report(group, calibration().refusal) for name, group in groups.items()
        },
    }


def figures_of(measured: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of what is deployed."""
    deployed = measured["deployed_on_reported_half"]["all"]
    beside = {
        "answered with the right span": deployed["answered_with_the_right_span"],
        "questions": deployed["questions"],
    }
    return [
        Figure(
            name="refusal precision",
            value=deployed["refusal_precision"],
            unit="",
            goal=GOAL,
            quality={"always refusing": deployed["always_refuse_precision"], "never": 0.0, **beside},
        ),
        Figure(
            name="refusal recall",
            value=deployed["refusal_recall"],
            unit="",
            goal=GOAL,
            quality={"always refusing": 1.0, "never": 0.0, **beside},
        ),
    ]


def toml_of(fitted: Mapping[str, Refusal]) -> str:
    """Return weights as they stand in configs/calibration.toml."""
    lines = []
    for language, one in fitted.items():
        lines += [f"[refusal.{language}]", f"intercept = {one.intercept}", f"threshold = {one.threshold}", ""]
        for name, weights in (("ranking", one.ranking), ("deciding", one.deciding)):
            lines += [f"[refusal.{language}.{name}]", *(f"{key} = {value}" for key, value in weights.items()), ""]
    return "\n".join(lines)


def main() -> dict[str, Any]:
    """Measure, print and store."""
    from benchmarks.evidence_cases import cases_of  # Django must be set up before

    stack_with(files())
    measured = measure(cases_of(questions(), collection=COLLECTION))
    sys.stderr.write(toml_of({name: Refusal(**one) for name, one in measured["fitted"].items()}) + "\n")
    return report("refusal", figures_of(measured), **measured)


if __name__ == "__main__":
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    django.setup()
    print(json.dumps(main(), indent=2))
