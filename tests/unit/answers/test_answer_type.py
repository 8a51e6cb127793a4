"""What a question asks for, and what holds it."""

from __future__ import annotations

import pytest

from core.answers.answer_type import AnswerType, answer_type, asks_for_picture, counted_word, holds, holds_agent


class TestAnswerType:
    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ("Who wrote it?", AnswerType.PERSON),
            ("In which year was it found?", AnswerType.TIME),
            ("Where does the key hang?", AnswerType.PLACE),
            ("How many sacks are there?", AnswerType.NUMBER),
            ("How much does a ticket cost?", AnswerType.MONEY),
            ("How tall is the tower?", AnswerType.MEASURE),
            ("Wann wurde die Brücke gebaut?", AnswerType.TIME),
            ("¿Cuánto cuesta la entrada?", AnswerType.MONEY),
            ("Qui a dessiné les plans ?", AnswerType.PERSON),
            ("Сколько дней хранят вещи?", AnswerType.NUMBER),
            ("What is the bridge made of?", None),
        ],
    )
    def test_the_question_word_tells(self, question: str, expected: AnswerType | None):
        assert answer_type(question) is expected


class TestHolds:
    @pytest.mark.parametrize(
        ("kind", "text", "held"),
        [
            (AnswerType.PERSON, "The method was devised by Phil Katz.", True),
            (AnswerType.PERSON, "The bridge will be painted green in October.", False),
            (AnswerType.PERSON, "USER COMMANDS MANUAL", False),
            (AnswerType.TIME, "Torn sails are accepted on Wednesdays.", True),
            (AnswerType.TIME, "Torn sails are accepted.", False),
            (AnswerType.NUMBER, "Gather eleven of them.", True),
            (AnswerType.MONEY, "The hall has 40 seats.", False),
            (AnswerType.MONEY, "It is 40 euros.", True),
            (AnswerType.MEASURE, "It is 49 metres high.", True),
            (AnswerType.MEASURE, "It has 49 rooms.", False),
            (AnswerType.PLACE, "It hangs behind the door.", True),
        ],
    )
    def test_a_text_holds_an_answer_of_the_kind_or_not(self, kind: AnswerType, text: str, held: bool):
        assert holds(kind, text, question="Which one is it?") is held

    def test_what_stands_in_the_question_is_no_answer(self):
        assert not holds(AnswerType.NUMBER, "Hall 4 is large.", question="How many boilers are in hall 4?")

    def test_a_unit_may_stand_in_the_name_of_the_column(self):
        assert holds(AnswerType.MEASURE, "Volga | 3530", question="How long is the river?", context="river | length_km")


class TestCountedWord:
    def test_it_is_the_word_after_how_many(self):
        assert counted_word("How many moons does Mars have?") == "moons"
        assert counted_word("Wie viele Zeilen hat die Seite?") == "zeilen"
        assert counted_word("How much does it cost?") is None


class TestHoldsAgent:
    def test_by_and_a_name_say_who(self):
        assert holds_agent("The Eagle by Alfred Tennyson")
        assert not holds_agent("by the river")


class TestAsksForPicture:
    def test_a_word_for_pictures_or_a_bare_description_asks_for_one(self):
        assert asks_for_picture("What colours does the photograph show?")
        assert asks_for_picture("a cup of espresso")
        assert not asks_for_picture("Who wrote the manifesto?")
