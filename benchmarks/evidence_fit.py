"""Fits the weights of the evidence: which span answers best, and whether the best one answers at all; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from core.answers.evidence import weights
from core.answers.features import FEATURES
from core.settings.calibration import Refusal

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RANKING = (
    "own",
    "near",
    "around",
    "own_soft",
    "around_soft",
    "similarity",
    "news",
    "kind_found",
    "kind_missing",
    "rank",
    "fragment",
)
DECIDING = (
    "own",
    "near",
    "around",
    "own_soft",
    "around_soft",
    "weakest",
    "weakest_soft",
    "similarity",
    "kind_found",
    "kind_missing",
    "number_missing",
    "name_missing",
    "counted_missing",
)
ENGLISH_ONLY = frozenset({"similarity"})
"""The embedded text model speaks English: in other languages its cosine says little."""

PRIOR = {"number_missing": -1.5, "name_missing": -1.0, "counted_missing": -1.0, "kind_missing": -1.0}
"""Where the weights start from: what is asked about and is not there speaks against, whatever few examples say."""

PRIOR_STRENGTH = 0.02
WITHHELD_WEIGHT = 0.2
"""An answerable question whose answering passages are withheld is a near miss too, if an artificial one."""

OTHER_LANGUAGE_WEIGHT = 3.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One labelled question with the features of every span that was found for it.

    Attributes:
        answers: For each span whether it holds the expected words.
        segments: For each span the segment it stands in.
    """

    question: str
    expected: str | None
    language: str
    for_fitting: bool
    features: Matrix
    answers: Mask
    segments: tuple[str, ...]
    quotes: tuple[str, ...]
    source: str = ""


def refusal_fit(cases: Sequence[Case], *, english: bool) -> Refusal:
    """Fit on the cases that are for fitting.

    Args:
        cases: All cases.
        english: Fit for English; else for every language, without what holds in English alone.
    """
    fitting = [case for case in cases if case.for_fitting and (case.language == "english" or not english)]
    shares = [1.0 if english or case.language == "english" else OTHER_LANGUAGE_WEIGHT for case in fitting]
    known = [name for name in FEATURES if english or name not in ENGLISH_ONLY]
    ranking = _ranking_fit(fitting, shares, [name for name in known if name in RANKING])
    deciding, intercept = _deciding_fit(fitting, shares, ranking, [name for name in known if name in DECIDING])
    return Refusal(ranking=ranking, deciding=deciding, intercept=intercept, threshold=0.5)


def _ranking_fit(cases: Sequence[Case], shares: Sequence[float], names: Sequence[str]) -> Mapping[str, float]:
    """Softmax over the spans of each question: the right ones together against all."""
    columns = [FEATURES.index(name) for name in names]
    usable = [
        (case.features[:, columns], case.answers, share)
        for case, share in zip(cases, shares, strict=True)
        if case.answers.any() and not case.answers.all()
    ]
    total = sum(share for _, _, share in usable)

    def loss(weight: Matrix) -> tuple[float, Matrix]:
        value, gradient = 0.0, np.zeros(len(columns))
        for features, right, share in usable:
            scores = features @ weight
            every, good = logsumexp(scores), logsumexp(scores[right])
            value += share * float(every - good)
            of_right = np.zeros_like(scores)
            of_right[right] = np.exp(scores[right] - good)
            gradient += share * (features.T @ (np.exp(scores - every) - of_right))
        return value / total + PRIOR_STRENGTH * float(weight @ weight), gradient / total + 2 * PRIOR_STRENGTH * weight

    found = minimize(loss, np.zeros(len(columns)), jac=True, method="L-BFGS-B").x
    return dict(zip(names, (round(float(one), 3) for one in found), strict=True))


def _deciding_fit(
    cases: Sequence[Case], shares: Sequence[float], ranking: Mapping[str, float], names: Sequence[str]
) -> tuple[Mapping[str, float], float]:
    """Logistic regression over the span that the ranking puts first, both classes of equal weight."""
    columns = [FEATURES.index(name) for name in names]
    rows, labels, importance = [], [], []
    for case, share in zip(cases, shares, strict=True):
        for features, label, factor in _examples(case, weights(ranking)):
            rows.append(features[columns])
            labels.append(label)
            importance.append(share * factor)
    matrix, truth, weight = np.array(rows), np.array(labels, dtype=np.float64), np.array(importance)
    for one in (0.0, 1.0):
        weight[truth == one] /= 2 * weight[truth == one].sum()
    prior = np.array([PRIOR.get(name, 0.0) for name in names])

    def loss(parameters: Matrix) -> tuple[float, Matrix]:
        slope, intercept = parameters[:-1], parameters[-1]
        log_odds = matrix @ slope + intercept
        value = float(weight @ (np.logaddexp(0.0, log_odds) - truth * log_odds))
        error = weight * (expit(log_odds) - truth)
        off = slope - prior
        gradient = np.append(matrix.T @ error + 2 * PRIOR_STRENGTH / 10 * off, error.sum())
        return value + PRIOR_STRENGTH / 10 * float(off @ off), gradient

    bounds = [(None, 0.0) if name in PRIOR else (0.0, None) for name in names]
    found = minimize(loss, np.append(prior, 0.0), jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)]).x
    return dict(zip(names, (round(float(one), 3) for one in found[:-1]), strict=True)), round(float(found[-1]), 3)


def _examples(case: Case, ranking: Matrix) -> list[tuple[Matrix, float, float]]:
    if not len(case.features):
        return []
    scores = case.features @ ranking
    if case.expected is None:
        return [(case.features[int(scores.argmax())], 0.0, 1.0)]
    if not case.answers.any():
        return []
    right = np.flatnonzero(case.answers)
    examples = [(case.features[right[int(scores[right].argmax())]], 1.0, 1.0)]
    holding = {case.segments[index] for index in right}
    others = np.array([index for index, one in enumerate(case.segments) if one not in holding], dtype=np.int64)
    if len(others):
        examples.append((case.features[others[int(scores[others].argmax())]], 0.0, WITHHELD_WEIGHT))
    return examples


def refusal_report(cases: Sequence[Case], calibration: Mapping[str, Refusal]) -> dict[str, float]:
    """Return precision and recall of refusal beside always and never refusing, and how often the right span is best."""
    refused_rightly = refused_wrongly = answered_wrongly = right = best_right = 0
    for case in cases:
        best, refused = decide(case, calibration)
        if case.expected is None:
            refused_rightly += refused
            answered_wrongly += not refused
        else:
            refused_wrongly += refused
            holds = best is not None and bool(case.answers[best])
            best_right += holds
            right += holds and not refused
    answerable = sum(case.expected is not None for case in cases)
    return {
        "questions": len(cases),
        "answerable": answerable,
        "refusal_precision": round(refused_rightly / max(1, refused_rightly + refused_wrongly), 3),
        "refusal_recall": round(refused_rightly / max(1, refused_rightly + answered_wrongly), 3),
        "always_refuse_precision": round((len(cases) - answerable) / max(1, len(cases)), 3),
        "always_refuse_recall": 1.0,
        "never_refuse_precision": 0.0,
        "never_refuse_recall": 0.0,
        "best_span_holds_the_answer": round(best_right / max(1, answerable), 3),
        "answered_with_the_right_span": round(right / max(1, answerable), 3),
    }


def decide(case: Case, calibration: Mapping[str, Refusal]) -> tuple[int | None, bool]:
    """Return the best span and whether the question is refused."""
    if not len(case.features):
        return None, True
    fitted = calibration.get(case.language, calibration["other"])
    best = int((case.features @ weights(fitted.ranking)).argmax())
    log_odds = float(case.features[best] @ weights(fitted.deciding)) + fitted.intercept
    return best, bool(expit(log_odds) < fitted.threshold)
