"""Decides from the evidence, before any generation, whether a question can be answered."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from core.answers.attribution import Span, lexical_support
from core.search.terms import QueryTerms, words
from core.settings.calibration import Refusal
from inference.values import Vectors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for an answer.

    Attributes:
        coverage: Weighted share (0 to 1) of the question's content words that the best span and its context hold.
        similarity: Cosine of the question and that span.
        probability: Calibrated probability that the question is answerable.
        answerable: Whether it reaches the threshold.
        ranked: Indices of the spans, the one that answers best first.
    """

    coverage: float
    similarity: float
    probability: float
    answerable: bool
    ranked: tuple[int, ...]


def evidence_weigh(
    *,
    question: str,
    question_vector: Sequence[float],
    terms: QueryTerms | None,
    spans: Sequence[Span],
    span_vectors: Vectors,
    calibration: Refusal,
) -> Evidence:
    """Weigh the spans of the found segments against a question."""
    if not spans:
        return Evidence(coverage=0.0, similarity=0.0, probability=0.0, answerable=False, ranked=())
    cosines = span_vectors @ np.asarray(question_vector, dtype=np.float32)
    coverages = [_coverage(question, terms, span) for span in spans]
    logits = [
        calibration.intercept + calibration.coverage_weight * coverage + calibration.similarity_weight * float(cosine)
        for coverage, cosine in zip(coverages, cosines, strict=True)
    ]
    ranked = sorted(range(len(spans)), key=lambda index: -logits[index])
    best = ranked[0]
    probability = 1.0 / (1.0 + math.exp(-logits[best]))
    return Evidence(
        coverage=coverages[best],
        similarity=float(cosines[best]),
        probability=probability,
        answerable=probability >= calibration.threshold,
        ranked=tuple(ranked),
    )


def _coverage(question: str, terms: QueryTerms | None, span: Span) -> float:
    """Mean of what the span itself holds and what it holds with its surroundings.

    A sentence may leave a subject to the one before it, so surroundings count; but of two spans of one segment the one
    that itself speaks of what is asked is the better answer.
    """
    surroundings = f"{span.context} {span.segment.text if span.segment.kind != 'table' else span.quote}"
    return (_held(question, terms, span.quote) + _held(question, terms, surroundings)) / 2


def _held(question: str, terms: QueryTerms | None, evidence: str) -> float:
    if terms is None or not terms.terms:
        return lexical_support(question, evidence)
    held = set(words(evidence))
    prefixes = {word[:5] for word in held}
    matched = sum(
        term.weight
        for term in terms.terms
        if any(lexeme in held or (len(lexeme) >= 4 and lexeme[:5] in prefixes) for lexeme in term.lexemes)
    )
    return matched / terms.total_weight
