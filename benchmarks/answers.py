"""Are answers and their citations right, and the right questions refused? On the reported half of the labelled set."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

import django

from benchmarks.labelled import Question, files, questions
from benchmarks.refusal import figures_of, measure
from benchmarks.report import Figure, report
from benchmarks.stack import COLLECTION, stack_with
from core.settings.env import environment_default

ASKED = 48
"""Answerable questions that the running stack is asked, evenly spaced over the reported half; each takes seconds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question as the running stack answered it.

    Attributes:
        holds: Whether the answer holds the expected words.
        quoted: Whether a cited quote holds them.
        sentences: How many the answer has.
        unsupported: How many of them nothing supports.
        cited_right: Of the cited sentences that hold the expected words, how many have a quote that holds them too.
        cited_holding: Cited sentences that hold the expected words.
    """

    question: str
    answer: str
    refused: bool
    extractive: bool
    holds: bool
    quoted: bool
    sentences: int
    unsupported: int
    cited_right: int
    cited_holding: int


def ask_all(asked: Iterable[Question]) -> list[Asked]:
    """Ask the running stack, as a client does."""
    from core.cli.client import Client  # Django must be set up before

    client = Client()
    try:
        return [_judged(question, _answer(client.ask(question.text, collection=COLLECTION))) for question in asked]
    finally:
        client.close()


def _answer(events: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    for event, data in events:
        if event in ("done", "error"):
            return data
    raise RuntimeError("the stream of an answer ended without its last event; look at './cloister status'")


def _judged(question: Question, answer: dict[str, Any]) -> Asked:
    wanted = (question.expected or "").lower()
    quotes = {one["n"]: one["quote"].lower() for one in answer["citations"]}
    said = [] if answer["refused"] else answer["sentences"]
    holding = [one for one in said if one["citations"] and wanted in one["text"].lower()]
    right = [one for one in holding if any(wanted in quotes[n] for n in one["citations"])]
    return Asked(
        question=question.text,
        answer=answer["answer"],
        refused=answer["refused"],
        extractive=answer["extractive"],
        holds=any(wanted in one["text"].lower() for one in said),
        quoted=any(wanted in quotes[n] for one in said for n in one["citations"]),
        sentences=len(said),
        unsupported=sum(one["unsupported"] for one in said),
        cited_right=len(right),
        cited_holding=len(holding),
    )


def quality_figures(asked: Sequence[Asked]) -> list[Figure]:
    """Return how good the answers were."""
    answered = [one for one in asked if not one.refused]
    count = {"questions": len(asked), "answered": len(answered)}
    sentences = sum(one.sentences for one in answered)
    return [
        Figure(
            name="answers that hold the expected words",
            value=_share(one.holds for one in asked),
            unit="",
            quality=count,
        ),
        Figure(
            name="answers whose quote holds them", value=_share(one.quoted for one in asked), unit="", quality=count
        ),
        Figure(
            name="attribution precision",
            value=round(sum(one.cited_right for one in asked) / max(1, sum(one.cited_holding for one in asked)), 3),
            unit="",
            quality={"cited sentences with the expected words": sum(one.cited_holding for one in asked)},
        ),
        Figure(
            name="unsupported sentences",
            value=round(sum(one.unsupported for one in answered) / max(1, sentences), 3),
            unit="",
            better="lower",
            quality={"sentences": sentences, "answers by quoting": sum(one.extractive for one in answered)},
        ),
    ]


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return round(sum(found) / max(1, len(found)), 3)


def main() -> dict[str, Any]:
    """Measure, print and store."""
    from benchmarks.evidence_cases import cases_of

    stack_with(files())
    labelled = questions()
    measured = measure(cases_of(labelled, collection=COLLECTION))
    answerable = [one for one in labelled if one.expected is not None and not one.for_fitting]
    step = max(1, len(answerable) // ASKED)
    asked = ask_all(answerable[::step][:ASKED])
    figures = [*figures_of(measured), *quality_figures(asked)]
    return report("answers", figures, **measured, asked=[dataclasses.asdict(one) for one in asked])


if __name__ == "__main__":
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    django.setup()
    print(json.dumps(main(), indent=2))
