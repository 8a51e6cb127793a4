from __future__ import annotations

import pytest

from benchmarks.error_rate import character_error_rate, edit_distance, word_error_rate


class TestEditDistance:
    @pytest.mark.parametrize(
        ("wanted", "found", "distance"),
        [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0), ("flaw", "lawn", 2)],
    )
    def test_counts_insertions_deletions_and_substitutions(self, wanted: str, found: str, distance: int) -> None:
        assert edit_distance(wanted, found) == distance


class TestErrorRates:
    def test_of_words_do_not_mind_case_marks_and_titles(self) -> None:
        assert word_error_rate("Mr. Hale, the shop-boy!", "mister hale the shop boy") == 0
        assert word_error_rate("one two three four", "one too three") == 0.5

    def test_of_characters_take_runs_of_space_for_one(self) -> None:
        assert character_error_rate("a line\nand one", "a line  and one") == 0
        assert character_error_rate("abcd", "abxd") == 0.25
