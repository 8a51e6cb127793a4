"""Decides from the evidence, before any generation, whether a question can be answered."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from core.answers.attribution import Span
from core.answers.features import FEATURES, Asked, Embedder, span_features
from core.settings.calibration import Refusal
from inference.values import Vectors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for an answer.

    Attributes:
        features: Of the best span, by name.
        probability: Calibrated probability that the question is answerable.
        threshold: What it must reach.
        ranked: Indices of the spans, the one that answers best first.
        strengths: Log-odds of each span, in the spans' order.
    """

    features: Mapping[str, float]
    probability: float
    threshold: float
    ranked: tuple[int, ...]
    strengths: tuple[float, ...]

    @property
    def answerable(self) -> bool:
        """Whether the question is answered."""
        return self.probability >= self.threshold

    def near_best(self, margin: float) -> list[int]:
        """Return the spans, best first, whose strength is at most ``margin`` below the best one's."""
        if not self.ranked:
            return []
        least = self.strengths[self.ranked[0]] - margin
        return [index for index in self.ranked if self.strengths[index] >= least]


def evidence_weigh(
    *,
    asked: Asked,
    spans: Sequence[Span],
    span_vectors: Vectors,
    ranks: Mapping[UUID, int],
    embed: Embedder,
    calibration: Mapping[str, Refusal],
) -> Evidence:
    """Weigh spans against a question.

    Args:
        asked: The question.
        spans: Those of ``spans_select``.
        span_vectors: Of each span's ``embedded``.
        ranks: Rank of each segment in the search, from 0.
        embed: Embeds single words.
        calibration: By text search configuration; ``other`` for languages without one of their own.
    """
    fitted = calibration.get(asked.language, calibration["other"])
    if not spans:
        return Evidence(features={}, probability=0.0, threshold=fitted.threshold, ranked=(), strengths=())
    features = span_features(asked=asked, spans=spans, span_vectors=span_vectors, ranks=ranks, embed=embed)
    strengths = features @ weights(fitted.ranking)
    ranked = tuple(int(index) for index in np.argsort(-strengths, kind="stable"))
    best = features[ranked[0]]
    log_odds = float(best @ weights(fitted.deciding)) + fitted.intercept
    return Evidence(
        features={name: float(value) for name, value in zip(FEATURES, best, strict=True)},
        probability=1.0 / (1.0 + math.exp(-log_odds)),
        threshold=fitted.threshold,
        ranked=ranked,
        strengths=tuple(float(one) for one in strengths),
    )


def weights(named: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return the weights in the order of ``FEATURES``; a feature that is not named weighs nothing."""
    return np.array([named.get(name, 0.0) for name in FEATURES])
