"""Decides from the evidence, before any generation, whether a question can be answered."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.answers.attribution import Span, content_words, lexical_support, word_stem
from core.search.terms import QueryTerms, words
from core.settings.calibration import Refusal
from inference.values import Vectors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for an answer.

    Attributes:
        coverage: Weighted share (0 to 1) of the question's content words that the best span and its surroundings hold.
        similarity: Cosine of the question and that span.
        news: How much that span adds to the question, 0 (nothing) to 1 (two content words or more).
        probability: Calibrated probability that the question is answerable.
        answerable: Whether it reaches the threshold.
        ranked: Indices of the spans, the one that answers best first.
        logits: Of each span, in the spans' order.
    """

    coverage: float
    similarity: float
    news: float
    probability: float
    answerable: bool
    ranked: tuple[int, ...]
    logits: tuple[float, ...]


NOTHING = Evidence(coverage=0.0, similarity=0.0, news=0.0, probability=0.0, answerable=False, ranked=(), logits=())


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
        return NOTHING
    features = span_features(
        question=question, question_vector=question_vector, terms=terms, spans=spans, span_vectors=span_vectors
    )
    weights = np.array([calibration.coverage_weight, calibration.similarity_weight, calibration.news_weight])
    logits = features @ weights + calibration.intercept
    ranked = sorted(range(len(spans)), key=lambda index: -logits[index])
    best = ranked[0]
    probability = 1.0 / (1.0 + math.exp(-logits[best]))
    coverage, similarity, news = (float(value) for value in features[best])
    return Evidence(
        coverage=coverage,
        similarity=similarity,
        news=news,
        probability=probability,
        answerable=probability >= calibration.threshold,
        ranked=tuple(ranked),
        logits=tuple(float(logit) for logit in logits),
    )


def span_features(
    *,
    question: str,
    question_vector: Sequence[float],
    terms: QueryTerms | None,
    spans: Sequence[Span],
    span_vectors: Vectors,
) -> npt.NDArray[np.float64]:
    """Return coverage, similarity and news of every span, shape (spans, 3)."""
    cosines = span_vectors @ np.asarray(question_vector, dtype=np.float32)
    asked = frozenset(word_stem(word) for word in words(question))
    return np.array(
        [
            [_coverage(question, terms, span), float(cosine), _news(asked, span.quote)]
            for span, cosine in zip(spans, cosines, strict=True)
        ]
    ).reshape(-1, 3)


def _news(asked: frozenset[str], quote: str) -> float:
    """How much a span adds to the question: a heading that only repeats its words cannot answer it."""
    news = {word for word in content_words(quote) if word_stem(word) not in asked}
    return min(1.0, len(news) / 2)


def _coverage(question: str, terms: QueryTerms | None, span: Span) -> float:
    """Mean of what the span itself holds and what it holds with its surroundings.

    A sentence may leave a subject to the one before it, so surroundings count; but of two spans of one segment the one
    that itself speaks of what is asked is the better answer.
    """
    surroundings = f"{span.context} {span.segment.text if span.segment.kind != 'table' else span.quote}"
    return (_held(question, terms, span.meaning) + _held(question, terms, surroundings)) / 2


def _held(question: str, terms: QueryTerms | None, evidence: str) -> float:
    if terms is None or not terms.terms:
        return lexical_support(question, evidence)
    lowered, held = evidence.lower(), set(words(evidence))
    prefixes = {word[:5] for word in held}

    def is_held(lexeme: str) -> bool:
        if not lexeme.isalnum():
            # A date, a path or a part number is one lexeme of the query, but several words here.
            return lexeme in lowered
        return lexeme in held or (len(lexeme) >= 4 and lexeme[:5] in prefixes)

    matched = sum(term.weight for term in terms.terms if any(map(is_held, term.lexemes)))
    return matched / terms.total_weight
