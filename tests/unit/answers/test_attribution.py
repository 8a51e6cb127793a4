"""Attribution: a sentence is cited only where a span supports it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import numpy as np

from core.answers.attribution import Attributor, cite_picture, quote_anchor, segment_spans
from core.documents.models import Document
from core.search.terms import words
from core.segments.models import Segment
from core.settings.calibration import Attribution

CALIBRATION = Attribution(lexical_share=0.6, news_share=0.75, threshold=0.55)


def fake_word_vectors(texts: Sequence[str]) -> np.ndarray:
    """A fake embedder that tells texts apart by their words: unit vectors over hashed words."""
    vectors = np.zeros((len(texts), 512), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in words(text):
            vectors[row, uuid.uuid5(uuid.NAMESPACE_DNS, word).int % 512] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def segment(text: str, **fields: object) -> Segment:
    document = Document(id=uuid.uuid4(), sha256="ab" * 32)
    anchor = fields.pop("anchor", {"page": 1, "box": [0, 0, 1, 1]})
    return Segment(id=uuid.uuid4(), document=document, kind="text", text=text, anchor=anchor, **fields)


def attributor(segments: Sequence[Segment], question: str = "When?") -> Attributor:
    return Attributor(
        spans=segment_spans(segments),
        question=question,
        embed=fake_word_vectors,
        calibration=CALIBRATION,
    )


BOILER = "The hall is large. The boiler in hall four was serviced on 12 March 2021. It is painted green."
GARDEN = "The garden opens at nine. Roses are watered twice a week."


class TestSupport:
    def test_a_sentence_that_stands_in_a_segment_is_cited_with_exactly_that_quote(self):
        found = attributor([segment(GARDEN), segment(BOILER)]).support("The boiler was serviced on 12 March 2021.")

        assert found is not None
        assert found.quote == "The boiler in hall four was serviced on 12 March 2021."

    def test_swapping_the_segment_for_an_unrelated_one_takes_the_citation_away(self):
        assert attributor([segment(GARDEN)]).support("The boiler was serviced on 12 March 2021.") is None

    def test_a_number_that_no_span_holds_is_not_supported(self):
        assert attributor([segment(BOILER)]).support("The boiler in hall four was serviced on 13 March 2021.") is None

    def test_an_invented_sentence_is_not_supported(self):
        assert attributor([segment(BOILER)]).support("The director resigned because of a scandal.") is None

    def test_a_sentence_that_only_repeats_the_question_is_not_supported(self):
        asked = attributor([segment(BOILER)], question="When was the boiler in hall four serviced?")

        assert asked.support("The boiler in hall four was serviced.") is None

    def test_an_answer_from_another_passage_is_not_supported_by_the_question_words(self):
        staff = segment("Radiology: Dr. Lind, head of department since 2017.")

        asked = attributor([staff, segment(GARDEN)], question="Who leads the radiology department?")

        assert asked.support("The garden leads the radiology department.") is None

    def test_without_segments_nothing_is_supported(self):
        assert attributor([]).support("Anything.") is None

    def test_the_header_row_of_a_table_is_context_of_its_rows(self):
        table = segment("Machine | Last service\nPump 7 | 4 May 2020\nPress 2 | 9 June 2019")
        table.kind = "table"

        found = attributor([table]).support("The last service of pump 7 was on 4 May 2020.")

        assert found is not None
        assert found.quote == "Pump 7 | 4 May 2020"


class TestSegmentSpans:
    def test_two_neighbouring_lines_of_a_picture_are_a_span_too(self):
        picture = segment("Visitors of the museum\nJuly was the busiest month")
        picture.kind = "image"

        assert [span.quote for span in segment_spans([picture])] == [
            "Visitors of the museum",
            "July was the busiest month",
            "Visitors of the museum\nJuly was the busiest month",
        ]

    def test_a_row_of_a_table_is_compared_with_its_column_names(self):
        table = segment("Machine | Place\nPress nine | attic")
        table.kind = "table"

        assert segment_spans([table])[1].meaning == "Machine Press nine, Place attic"

    def test_a_row_stands_alone_and_a_field_of_a_form_with_the_others(self):
        table = segment("Machine | Place | Year\nPress nine | attic | 1950")
        form = segment("Name | Harbour office\nPhone | 4410")
        table.kind = form.kind = "table"

        assert segment_spans([table])[1].around == "Press nine | attic | 1950"
        assert segment_spans([form])[1].around == "Name | Harbour office\nPhone | 4410"

    def test_a_span_knows_the_sentences_beside_it(self):
        spans = segment_spans([segment("One. Two. Three. Four.")])

        assert spans[1].beside == "One. Two. Three."
        assert spans[3].beside == "Three. Four."

    def test_lines_of_a_reference_card_are_spans_of_their_own_and_with_their_neighbour(self):
        card = segment("Files\n  Ctrl-N   new picture\n  Ctrl-E   export as PNG")

        quotes = [span.quote for span in segment_spans([card])]

        assert "Ctrl-E   export as PNG" in quotes
        assert "Ctrl-N   new picture\n  Ctrl-E   export as PNG" in quotes

    def test_the_fields_of_a_record_stay_together(self):
        record = segment("river: Danube\nlength_km: 2850")

        assert [span.quote for span in segment_spans([record])] == ["river: Danube\nlength_km: 2850"]


class TestQuoteAnchor:
    def test_characters_are_those_of_the_quote(self):
        text = "Intro.\n\nThe fee is 40 euros."
        spans = [[0, 6, {"start_char": 100, "end_char": 106}], [8, 28, {"start_char": 108, "end_char": 128}]]
        one = segment(text, spans=spans, anchor={"start_char": 100, "end_char": 128})

        anchor = quote_anchor(segment_spans([one])[1])

        assert anchor == {"start_char": 108, "end_char": 128}

    def test_speech_is_anchored_at_its_words(self):
        spoken = [
            ["Good", 1.0, 1.2],
            ["morning.", 1.2, 1.6],
            ["The", 2.0, 2.1],
            ["budget", 2.1, 2.6],
            ["grew.", 2.6, 3.0],
        ]
        one = segment(
            "Good morning. The budget grew.", words=spoken, anchor={"start_s": 1.0, "end_s": 3.0, "speaker": "S1"}
        )

        anchor = quote_anchor(segment_spans([one])[1])

        assert anchor == {"start_s": 2.0, "end_s": 3.0, "speaker": "S1"}

    def test_a_page_block_gives_its_own_box(self):
        one = segment(
            "A title.\nA row of text.",
            spans=[[0, 8, {"page": 1, "box": [0, 0, 1, 0.1]}], [9, 23, {"page": 1, "box": [0.1, 0.5, 0.9, 0.6]}]],
        )

        assert quote_anchor(segment_spans([one])[1])["box"] == [0.1, 0.5, 0.9, 0.6]


class TestCitePicture:
    def test_it_quotes_the_caption_and_points_at_the_whole_picture(self):
        picture = segment(
            "Likely a photograph of: cat.\nCAT SHOW",
            anchor={"page": 3, "box": [0, 0, 1, 1]},
            spans=[[0, 28, {"page": 3}], [29, 37, {"page": 3, "box": [0.1, 0.1, 0.2, 0.2]}]],
        )

        found = cite_picture(picture)

        assert found.quote == "Likely a photograph of: cat."
        assert found.anchor == {"page": 3, "box": [0, 0, 1, 1]}
