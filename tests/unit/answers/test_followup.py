"""Condensing follow-up questions."""

from __future__ import annotations

from core.answers.followup import Turn, condense_messages, question_condense

CRANE = Turn(question="What is the safe load of the crane Grey Heron?", answer="It is 35 tonnes.")
BOILER = Turn(question="When was the boiler in hall 4 serviced?", answer="On 12 March 2021.")
ZLIB = Turn(question="Who wrote the decompressor of zlib?", answer="The decompressor was written by Mark Adler.")


def condensed(question: str, *history: Turn) -> str:
    return question_condense(question, history).question


class TestQuestionCondense:
    def test_a_question_that_stands_alone_is_left_as_it_is(self):
        assert condensed("When is the siren tested?", CRANE) == "When is the siren tested?"
        assert condensed("How much does it weigh?") == "How much does it weigh?"

    def test_a_pronoun_brings_the_noun_phrase_of_the_question_before(self):
        assert condensed("How much does it weigh?", CRANE) == "How much does it weigh? (crane grey heron)"

    def test_the_verb_that_is_asked_anew_is_not_carried(self):
        assert condensed("Who serviced it?", BOILER) == "Who serviced it? (boiler hall 4)"

    def test_an_ellipsis_repeats_the_question_with_another_number(self):
        assert condensed("And in hall 7?", BOILER) == "When was the boiler in hall serviced? And in hall 7?"

    def test_a_person_is_the_name_in_the_answer(self):
        found = question_condense("Where was he born?", [ZLIB])

        assert found.question == "Where was he born? (Mark Adler)"
        assert found.from_answer

    def test_only_the_last_turn_says_what_it_is(self):
        assert condensed("How much does it weigh?", BOILER, CRANE) == "How much does it weigh? (crane grey heron)"

    def test_other_languages(self):
        german = Turn(question="Wann wurde die Gutenberg-Bibel gedruckt?", answer="Zwischen 1452 und 1454.")

        assert "bibel" in condensed("Wie viele Exemplare davon gibt es?", german)


class TestCondenseMessages:
    def test_the_prompt_holds_every_turn_and_the_last_question(self):
        system, user = condense_messages("Who serviced it?", [CRANE, BOILER])

        assert "Do not answer it" in system.content
        assert user.content.index(CRANE.question) < user.content.index(BOILER.question)
        assert user.content.endswith("Last question: Who serviced it?")
