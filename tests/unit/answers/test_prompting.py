"""Prompts."""

from __future__ import annotations

import uuid

import pytest

from core.answers.context import Source
from core.answers.prompting import LANGUAGE_NAMES, prompt_messages, sources_budget_chars
from core.search.terms import CONFIGURATIONS


def sources(*texts: str) -> list[Source]:
    return [Source(segment_ids=(uuid.uuid4(),), heading_path=("Report", "Costs"), text=text) for text in texts]


class TestPromptMessages:
    @pytest.mark.parametrize("language", CONFIGURATIONS)
    def test_it_asks_for_the_questions_language(self, language: str):
        system, _ = prompt_messages(question="Wann?", sources=sources("Text."), language=language, budget_chars=400)

        assert f"Answer in {LANGUAGE_NAMES[language]}," in system.content

    def test_sources_are_numbered_with_their_headings_and_the_question_comes_last(self):
        _, user = prompt_messages(
            question="How much?", sources=sources("It cost 5.", "It cost 6."), language="english", budget_chars=700
        )

        assert "[1] Report > Costs\nIt cost 5." in user.content
        assert "[2] Report > Costs\nIt cost 6." in user.content
        assert user.content.endswith("Question: How much?")

    def test_what_does_not_fit_is_left_out_whole_and_the_first_source_is_cut(self):
        _, user = prompt_messages(
            question="Q?", sources=sources("word " * 500, "short"), language="english", budget_chars=350
        )

        assert "[2]" not in user.content
        assert len(user.content) < 350 + 60


class TestSourcesBudget:
    def test_it_grows_with_the_window(self):
        small = sources_budget_chars(context_tokens=2048, answer_tokens=96)

        assert 2500 < small < 2048 * 3.5
        assert sources_budget_chars(context_tokens=8192, answer_tokens=96) > 4 * small
