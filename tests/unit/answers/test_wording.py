"""Content words and their forms."""

from __future__ import annotations

from core.answers.wording import content_words, lexical_support, word_keys


class TestLexicalSupport:
    def test_it_is_the_share_of_content_words(self):
        assert lexical_support("The boiler was serviced", "boiler service") == 1.0
        assert lexical_support("The boiler exploded", "the boiler") == 0.5
        assert lexical_support("of the", "anything") == 0.0

    def test_irregular_forms_meet_in_their_dictionary_form(self):
        assert lexical_support("wrote", "It was written in May.") == 1.0
        assert lexical_support("geschickt", "Man schickt es an die Liste.", "german") == 1.0
        assert lexical_support("наберите", "Какой номер набрать?", "russian") == 1.0


class TestWordKeys:
    def test_a_number_stands_for_itself_alone(self):
        assert word_keys("185412").isdisjoint(word_keys("185413"))


class TestContentWords:
    def test_words_of_columns_come_apart_and_stop_words_of_other_languages_go(self):
        assert content_words("length_km der Wolga") == ["length", "km", "wolga"]
