"""Temperatures and thresholds of the picture head, from logits of networks that had not seen the pictures' sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.preprocessing.picture_head import CHART_KINDS, DOCUMENTS, KINDS, ORIENTATIONS, PRESENCES

UNLABELLED = -1
KIND_PRECISION = 0.97
CHART_PRECISION = 0.93
TURN_PRECISION = 0.985
YES_PRECISION = 0.97
NO_PRECISION = 0.99
MOST_DOUBT = 0.1
"""No absence is stated above this probability, however rare a thing was in the training set."""
MADE_WEIGHT = 0.1
"""Turned and overlaid pictures are that much rarer in life than in the training set."""
NEVER = 1.01
"""A threshold that no probability reaches: the statement is never made."""
_LEAST = 0.5
_FEW = 12

Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of all samples as arrays; UNLABELLED where one is not known."""

    kind: npt.NDArray[np.int64]
    chart_kind: npt.NDArray[np.int64]
    present: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int64]


def calibrate(real: Mask, labels: Labels, logits: dict[str, Scores]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the head stores, and a report of what cross-validation found on real pictures."""
    temperatures: dict[str, float] = {}
    thresholds: dict[str, dict[str, float]] = {}
    report: dict[str, Any] = {}
    shares: dict[str, Scores] = {}
    for name in ("kind", "chart_kind", "turn"):
        truth = getattr(labels, name)
        known = (truth != UNLABELLED) & (real | (name == "turn"))
        temperatures[name] = _temperature(logits[name][known], truth[known])
        shares[name] = softmax(logits[name] / temperatures[name])
        report[f"{name} right"] = round(float((shares[name][known].argmax(1) == truth[known]).mean()), 3)
    thresholds["kind"] = _kind_thresholds(real, labels.kind, shares["kind"])
    weights = np.where(real, 1.0, MADE_WEIGHT)
    thresholds["chart_kind"] = _named(
        CHART_KINDS[:-1], labels.chart_kind, shares["chart_kind"], weights, CHART_PRECISION
    )
    turns = [str(one) for one in ORIENTATIONS]
    thresholds["turn"] = _named(turns, labels.turn, shares["turn"], weights, TURN_PRECISION)
    temperatures["present"] = 1.0
    present: Scores = (1 / (1 + np.exp(-logits["present"]))).astype(np.float32)
    thresholds["yes"], thresholds["no"] = {}, {}
    for column, name in enumerate(PRESENCES):
        truth = labels.present[:, column]
        known = truth != UNLABELLED
        few = (truth[known & real] == 1).sum() < _FEW
        # Of what real pictures hardly show, made ones must speak in full.
        counted = np.ones(len(truth)) if few else weights
        thresholds["yes"][name] = threshold(
            present[known, column], truth[known] == 1, YES_PRECISION, weights=counted[known]
        )
        held = known & (real | (truth == 1))
        absent = 1 - present[held, column]
        found = 1 - threshold(absent, truth[held] == 0, NO_PRECISION, weights=counted[held])
        thresholds["no"][name] = min(found, MOST_DOUBT)
        bounds = (thresholds["yes"][name], thresholds["no"][name])
        report[name] = _presence_report(present[:, column], truth, real, bounds)
    report["kinds"] = _kind_report(real, labels.kind, shares["kind"], thresholds["kind"])
    report["thresholds"] = {
        group: {name: round(value, 3) for name, value in found.items()} for group, found in thresholds.items()
    }
    return {"temperatures": temperatures, "thresholds": thresholds}, report


def threshold(
    shares: Scores, right: Mask, precision: float, *, weights: npt.NDArray[np.float64] | None = None
) -> float:
    """Return the lowest threshold above which this share of statements is right, counting one more as wrong."""
    order = np.argsort(-shares, kind="stable")
    each = np.ones(len(order)) if weights is None else weights[order]
    counts = np.cumsum(each)
    good = np.flatnonzero(np.cumsum(each * right[order]) / (counts + 1) >= precision)
    if not good.size or good[-1] + 1 < _FEW:
        return NEVER
    return max(_LEAST, float(shares[order[good[-1]]]))


def softmax(scores: Scores) -> Scores:
    """Return shares of each row."""
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Scores = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def _temperature(logits: Scores, truth: npt.NDArray[np.int64]) -> float:
    candidates = np.geomspace(0.3, 4, 40)
    losses = [-np.log(softmax(logits / one)[np.arange(len(truth)), truth] + 1e-9).mean() for one in candidates]
    return float(candidates[int(np.argmin(losses))])


def _true_kinds(kind: npt.NDArray[np.int64], index: int) -> Mask:
    right: Mask = kind == index
    if KINDS[index] == "page":
        right |= np.isin(kind, [KINDS.index(name) for name in DOCUMENTS])
    return right


def _kind_thresholds(real: Mask, kind: npt.NDArray[np.int64], shares: Scores) -> dict[str, float]:
    best = shares.argmax(1)
    found = {}
    for index, name in enumerate(KINDS[:-1]):
        # Where nearly all samples of a kind were drawn, real ones alone say nothing about when it is meant.
        many = (real & (kind == index)).sum() >= _FEW
        held = (best == index) & (real | (not many))
        found[name] = threshold(shares[held, index], _true_kinds(kind[held], index), KIND_PRECISION)
    family = [KINDS.index(name) for name in DOCUMENTS]
    found["document"] = threshold(shares[real][:, family].sum(1), np.isin(kind[real], family), KIND_PRECISION)
    return found


def _named(
    names: Sequence[str], truth: Any, shares: Scores, weights: npt.NDArray[np.float64], precision: float
) -> dict[str, float]:
    known = truth != UNLABELLED
    best = shares.argmax(1)
    found = {}
    for index, name in enumerate(names):
        held = known & (best == index)
        found[name] = threshold(shares[held, index], truth[held] == index, precision, weights=weights[held])
    return found


def _presence_report(shares: Scores, truth: Any, real: Mask, bounds: tuple[float, float]) -> dict[str, Any]:
    known = real & (truth != UNLABELLED)
    said_yes, said_no = known & (shares >= bounds[0]), known & (shares <= bounds[1])
    return {
        "real": int(known.sum()),
        "there": int((truth[known] == 1).sum()),
        "said yes": f"{int((truth[said_yes] == 1).sum())} right of {int(said_yes.sum())}",
        "said no": f"{int((truth[said_no] == 0).sum())} right of {int(said_no.sum())}",
    }


def _kind_report(real: Mask, kind: Any, shares: Scores, thresholds: dict[str, float]) -> dict[str, str]:
    best = shares.argmax(1)
    report = {}
    for index, name in enumerate(KINDS[:-1]):
        said = real & (best == index) & (shares[:, index] >= thresholds[name])
        right = int(_true_kinds(kind[said], index).sum())
        report[name] = f"{right} right of {int(said.sum())} said, {int((real & (kind == index)).sum())} there"
    return report
