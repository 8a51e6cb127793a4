"""Features of spans, evidence and refusal."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import numpy as np

from core.answers.attribution import segment_spans
from core.answers.evidence import evidence_weigh
from core.answers.features import EMBEDDED_SPANS, FEATURES, Asked, span_features, spans_select
from core.documents.models import Document
from core.search.terms import QueryTerms, Term
from core.segments.models import Segment
from core.settings.calibration import Refusal

REFUSAL = {
    "other": Refusal(
        ranking={"own": 5.0, "similarity": 3.0}, deciding={"own": 5.0, "similarity": 3.0}, intercept=-4.0, threshold=0.5
    )
}
ALIKE = {"automobile": "car"}


def fake_word_vectors(texts: Sequence[str]) -> np.ndarray:
    """A fake embedder that knows one pair of synonyms and tells all other words apart."""
    vectors = np.zeros((len(texts), 4096), dtype=np.float32)
    for row, text in enumerate(texts):
        vectors[row, uuid.uuid5(uuid.NAMESPACE_DNS, ALIKE.get(text, text)).int % 4096] = 1.0
    return vectors


def asked(question: str, *words: str, language: str = "english", absent: Sequence[str] = ()) -> Asked:
    terms = tuple(Term(lexemes=(word,), weight=2.0, frequency=0 if word in absent else 3, word=word) for word in words)
    return Asked(text=question, vector=[1.0, 0.0], terms=QueryTerms(configuration=language, terms=terms))


def segments_of(*texts: str, kind: str = "text") -> list[Segment]:
    document = Document(id=uuid.uuid4())
    return [Segment(id=uuid.uuid4(), document=document, kind=kind, text=text, anchor={"page": 1}) for text in texts]


def features(question: Asked, *texts: str, kind: str = "text") -> list[dict[str, float]]:
    segments = segments_of(*texts, kind=kind)
    spans = segment_spans(segments)
    rows = span_features(
        asked=question,
        spans=spans,
        span_vectors=np.zeros((len(spans), 2), dtype=np.float32),
        ranks={segment.pk: rank for rank, segment in enumerate(segments)},
        embed=fake_word_vectors,
    )
    return [dict(zip(FEATURES, row, strict=True)) for row in rows]


class TestSpanFeatures:
    def test_dates_paths_and_part_numbers_are_found_as_a_whole(self):
        question = asked("q", "2012/01/14", "/opt", "xk-9987-q")

        right, wrong = features(
            question, "On 2012/01/14 part XK-9987-Q was put below /opt.", "On 2012/01/15 part XK-9986-Q was lost."
        )

        assert (right["own"], right["number_missing"]) == (1.0, 0.0)
        assert (wrong["own"], wrong["number_missing"]) == (0.0, 1.0)

    def test_irregular_verbs_meet(self):
        (found,) = features(asked("Who wrote it?", "wrote"), "It was written by the harbour office.")

        assert found["own"] == 1.0

    def test_a_word_of_like_meaning_counts_where_no_form_of_the_word_stands(self):
        (found,) = features(asked("Where is the automobile?", "automobile"), "The car is in the yard.")

        assert found["own"] == 0.0
        assert found["own_soft"] == 1.0

    def test_a_sentence_is_held_by_its_neighbours_and_its_segment_too(self):
        rows = features(asked("q", "boiler", "press"), "The boiler is old. It leaks. Nobody cares. The press is new.")

        assert [row["own"] for row in rows] == [0.5, 0.0, 0.0, 0.5]
        assert [row["near"] for row in rows] == [0.5, 0.5, 0.5, 0.5]
        assert {row["around"] for row in rows} == {1.0}

    def test_a_word_that_stands_nowhere_weighs_as_the_others_do(self):
        (found,) = features(asked("q", "boiler", "zeppelin", absent=["zeppelin"]), "The boiler is old.")

        assert found["own"] == 0.5

    def test_the_kind_of_answer_is_looked_for(self):
        when = asked("When was the boiler serviced?", "boiler", "serviced")

        dated, undated = features(when, "The boiler was serviced in May.", "The boiler was serviced.")

        assert (dated["kind_found"], dated["kind_missing"]) == (1.0, 0.0)
        assert (undated["kind_found"], undated["kind_missing"]) == (0.0, 1.0)

    def test_a_name_and_a_counted_thing_that_are_nowhere_are_told(self):
        question = asked("How many rooms does the Heron have?", "rooms", "heron")

        (other,) = features(question, "The Plover has 12 cabins.")
        (right,) = features(question, "The Heron has 12 rooms.")

        assert (other["name_missing"], other["counted_missing"]) == (1.0, 1.0)
        assert (right["name_missing"], right["counted_missing"]) == (0.0, 0.0)

    def test_words_carried_from_earlier_turns_weigh_less(self):
        question = Asked(
            text="Who painted it? (bridge)",
            vector=[1.0, 0.0],
            terms=asked("", "painted", "bridge").terms,
            carried=frozenset({"bridge"}),
        )

        carried, own = features(question, "The bridge is long.", "They painted it.")

        assert carried["own"] < own["own"]


class TestSpansSelect:
    def test_of_a_long_table_the_rows_that_speak_of_the_question_stay(self):
        rows = "\n".join(f"Pump {number} | hall {number}" for number in range(1, 400))
        segments = segments_of(f"Machine | Place\n{rows}\nPress nine | attic", kind="table")
        spans = segment_spans(segments)

        chosen = spans_select(asked("Where is press nine?", "press", "nine"), spans, {segments[0].pk: 0})

        assert len(chosen) == EMBEDDED_SPANS
        assert "Press nine | attic" in [span.quote for span in chosen]


def weigh(*texts: str, cosines: Sequence[float]):
    segments = segments_of(*texts)
    vectors = np.array([[cosine, (1 - cosine**2) ** 0.5] for cosine in cosines], dtype=np.float32).reshape(-1, 2)
    return evidence_weigh(
        asked=asked("When was the boiler serviced?", "boiler", "serviced"),
        spans=segment_spans(segments),
        span_vectors=vectors,
        ranks={segment.pk: rank for rank, segment in enumerate(segments)},
        embed=fake_word_vectors,
        calibration=REFUSAL,
    )


class TestEvidenceWeigh:
    def test_matching_words_and_meaning_are_answerable(self):
        evidence = weigh("Roses are red.", "The boiler was serviced in May.", cosines=[0.1, 0.8])

        assert evidence.answerable
        assert evidence.ranked[0] == 1
        assert evidence.features["own"] == 1.0

    def test_an_unrelated_text_is_refused(self):
        assert not weigh("Roses are red.", cosines=[0.1]).answerable

    def test_no_evidence_is_refused(self):
        nothing = weigh(cosines=[])

        assert not nothing.answerable
        assert nothing.near_best(2.0) == []
