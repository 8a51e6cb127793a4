"""Quoted words and beginnings of words in what somebody types."""

from __future__ import annotations

import pytest

from core.search.query import Query, query_parse, query_plain


class TestQuery:
    @pytest.mark.parametrize(
        "typed",
        ['crane "grey heron" load', "crane “grey heron” load", "crane „grey heron“ load", "crane «grey heron» load"],
    )
    def test_quoted_words_are_a_phrase_and_stay_words(self, typed):
        assert query_parse(typed) == Query(
            text="crane grey heron load", words="crane grey heron load", phrases=("grey heron",)
        )

    def test_a_beginning_is_no_whole_word(self):
        assert query_parse("service of Boil*") == Query(text="service of Boil", words="service of", prefixes=("boil",))

    def test_signs_without_words_say_nothing(self):
        assert query_parse('what * is "!?" this "') == Query(text='what * is !? this "', words='what * is !? this "')

    def test_a_star_inside_a_word_or_of_markdown_is_no_beginning(self):
        assert query_parse("a*b **bold**").prefixes == ()

    def test_a_question_of_a_conversation_is_taken_as_it_is(self):
        assert query_plain('What does "RTO" mean*') == Query(
            text='What does "RTO" mean*', words='What does "RTO" mean*'
        )
