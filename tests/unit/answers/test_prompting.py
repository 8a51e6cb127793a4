"""Prompts."""

from __future__ import annotations

from core.answers.prompting import CHARS_PER_TOKEN, prompt_messages
from core.segments.models import Segment


def segments(*texts: str) -> list[Segment]:
    return [Segment(text=text, heading_path=["Report", "Costs"]) for text in texts]


class TestPromptMessages:
    def test_it_asks_for_the_questions_language(self):
        system, _ = prompt_messages(question="Wann?", segments=segments("Text."), language="german", budget_tokens=100)

        assert "Answer in German" in system.content

    def test_sources_are_numbered_with_their_headings_and_the_question_comes_last(self):
        _, user = prompt_messages(
            question="How much?", segments=segments("It cost 5.", "It cost 6."), language="english", budget_tokens=200
        )

        assert "[1] Report > Costs\nIt cost 5." in user.content
        assert "[2] Report > Costs\nIt cost 6." in user.content
        assert user.content.endswith("Question: How much?")

    def test_what_does_not_fit_is_left_out_whole_and_the_first_source_is_cut(self):
        long = "word " * 500

        _, user = prompt_messages(
            question="Q?", segments=segments(long, "short"), language="english", budget_tokens=100
        )

        assert "[2]" not in user.content
        assert len(user.content) < 100 * CHARS_PER_TOKEN + 60
