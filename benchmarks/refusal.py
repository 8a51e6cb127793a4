"""Does the evidence tell answerable questions from others? Fits refusal on one half, reports on the other.

Ingests configs/samples and tests/formats/files into a collection of the running stack.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import tomllib
from collections.abc import Sequence
from typing import Any

import django
import numpy as np
import numpy.typing as npt

from benchmarks.stack import COLLECTION, stack_with
from core.settings.calibration import calibration
from core.settings.env import REPOSITORY, env, environment_default

FILES = ("configs/samples", "tests/formats/files")

ROUNDS = 6
"""Fitting alternates between choosing the best span of each question and fitting the weights, until it is stable."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One labelled question with the features of every span that was found for it."""

    question: str
    expected: str | None
    for_fitting: bool
    features: npt.NDArray[np.float64]
    quotes: tuple[str, ...]

    def best(self, weights: npt.NDArray[np.float64]) -> int:
        """Return the span that answers best under these weights."""
        return int(np.argmax(self.features @ weights))

    def holds_answer(self, index: int) -> bool:
        """Whether a span holds the expected words."""
        return self.expected is not None and self.expected.lower() in self.quotes[index].lower()


def cases(collection_name: str) -> list[Case]:
    """Search every labelled question in a collection and take the features of what was found."""
    from core.access.lookup import collection_by_name
    from core.access.models import User
    from core.answers.attribution import segment_spans
    from core.answers.evidence import span_features
    from core.answers.service import SEARCHED_SEGMENTS
    from core.remote import query_embed
    from core.search.service import segments_search
    from gpu_worker.services import engines

    user = User.objects.get(username="admin")
    collection = collection_by_name(user=user, name_or_id=collection_name)
    pool = engines()
    found = []
    for question, expected, for_fitting in _labelled():
        result = segments_search(
            user=user, embedder=query_embed, text=question, collection_ids=[collection.pk], limit=SEARCHED_SEGMENTS
        )
        spans = segment_spans([hit.segment for hit in result.hits], question=question)
        if not spans:
            empty = np.zeros((0, 3))
            found.append(Case(question=question, expected=expected, for_fitting=for_fitting, features=empty, quotes=()))
            continue
        with pool.lease(role="text") as engine:
            vectors = engine.embed_texts([span.meaning for span in spans])
        features = span_features(
            question=question,
            question_vector=query_embed(role="text", text=question),
            terms=result.terms,
            spans=spans,
            span_vectors=vectors,
        )
        quotes = tuple(span.quote for span in spans)
        found.append(
            Case(question=question, expected=expected, for_fitting=for_fitting, features=features, quotes=quotes)
        )
    return found


def _labelled() -> list[tuple[str, str | None, bool]]:
    data = tomllib.loads((REPOSITORY / "tests" / "labelled" / "questions.toml").read_text())
    labelled: list[tuple[str, str | None, bool]] = [
        (one["question"], one["expected"], index % 2 == 0) for index, one in enumerate(data["answerable"])
    ]
    for name in ("near_miss", "off_topic"):
        labelled += [(question, None, index % 2 == 0) for index, question in enumerate(data[name])]
    return labelled


def fit(fitting: Sequence[Case]) -> tuple[npt.NDArray[np.float64], float]:
    """Fit weights and intercept by logistic regression over each question's best span."""
    from sklearn.linear_model import LogisticRegression

    weights, intercept = np.array([5.0, 6.0, 1.0]), 0.0
    for _ in range(ROUNDS):
        rows, labels = [], []
        for case in fitting:
            if not len(case.features):
                continue
            if case.expected is None:
                rows.append(case.features[case.best(weights)])
                labels.append(0)
            elif right := [index for index in range(len(case.quotes)) if case.holds_answer(index)]:
                rows.append(case.features[max(right, key=lambda index: float(case.features[index] @ weights))])
                labels.append(1)
        model = LogisticRegression(C=30).fit(np.array(rows), labels)
        weights, intercept = model.coef_[0], float(model.intercept_[0])
    return weights, intercept


def report(reported: Sequence[Case], weights: npt.NDArray[np.float64], intercept: float) -> dict[str, float]:
    """Return precision and recall of refusal, with those of always refusing, and how often the best span answers."""
    refused_rightly = refused_wrongly = answered_wrongly = best_span_right = 0
    for case in reported:
        refused = not len(case.features) or case.features[case.best(weights)] @ weights + intercept < 0
        if case.expected is None:
            refused_rightly += refused
            answered_wrongly += not refused
        else:
            refused_wrongly += refused
            best_span_right += bool(len(case.features)) and case.holds_answer(case.best(weights))
    answerable = sum(case.expected is not None for case in reported)
    return {
        "questions": len(reported),
        "refusal_precision": round(refused_rightly / max(1, refused_rightly + refused_wrongly), 3),
        "refusal_recall": round(refused_rightly / (refused_rightly + answered_wrongly), 3),
        "always_refuse_precision": round((len(reported) - answerable) / len(reported), 3),
        "always_refuse_recall": 1.0,
        "never_refuse_recall": 0.0,
        "best_span_holds_the_answer": round(best_span_right / answerable, 3),
    }


def main(collection_name: str) -> dict[str, Any]:
    """Fit, report, print and store the result."""
    found = cases(collection_name)
    weights, intercept = fit([case for case in found if case.for_fitting])
    deployed = calibration().refusal
    deployed_weights = np.array([deployed.coverage_weight, deployed.similarity_weight, deployed.news_weight])
    reported = [case for case in found if not case.for_fitting]
    result = {
        "benchmark": "refusal",
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "profile": env().profile,
        "weights": {
            "intercept": round(intercept, 2),
            **dict(zip(("coverage", "similarity", "news"), (round(float(one), 2) for one in weights), strict=True)),
        },
        "fitted_half": report([case for case in found if case.for_fitting], weights, intercept),
        "reported_half": report(reported, weights, intercept),
        "deployed_on_reported_half": report(reported, deployed_weights, deployed.intercept),
    }
    folder = REPOSITORY / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "refusal.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


if __name__ == "__main__":
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    django.setup()
    stack_with(FILES)
    print(json.dumps(main(COLLECTION), indent=2))
