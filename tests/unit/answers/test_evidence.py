"""Evidence and refusal."""

from __future__ import annotations

import uuid

import numpy as np

from core.answers.attribution import segment_spans
from core.answers.evidence import evidence_weigh, span_features
from core.documents.models import Document
from core.search.terms import QueryTerms, Term
from core.segments.models import Segment
from core.settings.calibration import Refusal

REFUSAL = Refusal(intercept=-4.0, coverage_weight=5.0, similarity_weight=3.0, news_weight=0.0, threshold=0.5)
TERMS = QueryTerms(
    configuration="english",
    terms=(Term(lexemes=("boiler",), weight=2.0), Term(lexemes=("servic", "serviced"), weight=2.0)),
)


def spans_of(*texts: str):
    document = Document(id=uuid.uuid4())
    return segment_spans(
        [Segment(id=uuid.uuid4(), document=document, kind="text", text=text, anchor={"page": 1}) for text in texts],
        question="",
    )


def weigh(*texts: str, cosines: list[float]):
    spans = spans_of(*texts)
    vectors = np.array([[cosine, (1 - cosine**2) ** 0.5] for cosine in cosines], dtype=np.float32)
    return evidence_weigh(
        question="When was the boiler serviced?",
        question_vector=[1.0, 0.0],
        terms=TERMS,
        spans=spans,
        span_vectors=vectors,
        calibration=REFUSAL,
    )


class TestCoverage:
    def test_dates_paths_and_part_numbers_are_found_as_a_whole(self):
        lexemes = ("2012/01/14", "/opt", "xk-9987-q")
        terms = QueryTerms(
            configuration="english", terms=tuple(Term(lexemes=(lexeme,), weight=1.0) for lexeme in lexemes)
        )
        spans = spans_of("On 2012/01/14 part XK-9987-Q was put below /opt.", "On 2012/01/15 part XK-9986-Q was lost.")

        features = span_features(
            question="q",
            question_vector=[1.0, 0.0],
            terms=terms,
            spans=spans,
            span_vectors=np.zeros((len(spans), 2), dtype=np.float32),
        )

        assert [row[0] for row in features] == [1.0, 0.0]


class TestEvidenceWeigh:
    def test_matching_words_and_meaning_are_answerable(self):
        evidence = weigh("Roses are red.", "The boiler was serviced in May.", cosines=[0.1, 0.8])

        assert evidence.answerable
        assert evidence.ranked[0] == 1
        assert evidence.coverage == 1.0

    def test_an_unrelated_text_is_refused(self):
        assert not weigh("Roses are red.", cosines=[0.1]).answerable

    def test_no_evidence_is_refused(self):
        assert not evidence_of_nothing().answerable


def evidence_of_nothing():
    return evidence_weigh(
        question="When?",
        question_vector=[1.0],
        terms=TERMS,
        spans=[],
        span_vectors=np.zeros((0, 1), dtype=np.float32),
        calibration=REFUSAL,
    )
