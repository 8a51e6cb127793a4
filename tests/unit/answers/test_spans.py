"""Cutting texts into quotable spans."""

from __future__ import annotations

import random

from core.answers.spans import finished_sentences, sentence_spans


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


class TestSentenceSpans:
    def test_sentences_and_lines_are_spans_of_their_own(self):
        assert cut("One is here. Two follows!\nA row | of a table\n\nLast") == [
            "One is here.",
            "Two follows!",
            "A row | of a table",
            "Last",
        ]

    def test_abbreviations_initials_and_ordinals_do_not_end_a_sentence(self):
        assert cut("Dr. Weber met J. Kim on 12. March. They spoke.") == [
            "Dr. Weber met J. Kim on 12. March.",
            "They spoke.",
        ]

    def test_wrapped_prose_is_not_cut_at_its_line_breaks(self):
        text = "The gauge stood on the old\nbeacon. It was lost.\n\nA new part"

        assert [text[start:end] for start, end in sentence_spans(text, by_line=False)] == [
            "The gauge stood on the old\nbeacon.",
            "It was lost.",
            "A new part",
        ]

    def test_decimal_numbers_stay_whole(self):
        assert cut("It took 3.5 hours. Done.") == ["It took 3.5 hours.", "Done."]

    def test_every_span_is_a_slice_without_surrounding_space_in_order(self):
        generator = random.Random(7)
        for _ in range(200):
            text = "".join(generator.choice("ab1 .!?\n|Dr") for _ in range(60))
            last = 0
            for start, end in sentence_spans(text):
                assert last <= start < end <= len(text)
                assert text[start:end] == text[start:end].strip()
                last = end


class TestFinishedSentences:
    def test_the_last_piece_waits_until_it_is_finished(self):
        assert finished_sentences("First one. Second is gro") == (["First one."], " Second is gro")
        assert finished_sentences("First one.") == ([], "First one.")

    def test_pieces_fed_one_by_one_give_the_sentences_of_the_whole(self):
        text = "The pump runs. It was made in 1998 by the works. Nobody repaired it since. "
        found, rest = [], ""
        for character in text:
            done, rest = finished_sentences(rest + character)
            found += done

        assert found == ["The pump runs.", "It was made in 1998 by the works.", "Nobody repaired it since."]
