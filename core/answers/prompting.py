"""Builds the prompt: sources within the model's window, an instruction, the question; pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.segments.models import Segment
from inference.values import ChatMessage

LANGUAGE_NAMES = {
    "english": "English",
    "german": "German",
    "french": "French",
    "spanish": "Spanish",
    "italian": "Italian",
    "portuguese": "Portuguese",
    "dutch": "Dutch",
}

CHARS_PER_TOKEN = 3.5
"""Lower than any of the catalog's tokenizers averages on prose, so that a prompt errs on the short side."""


def prompt_messages(
    *, question: str, segments: Sequence[Segment], language: str, budget_tokens: int
) -> tuple[ChatMessage, ...]:
    """Build the conversation for one question.

    Args:
        question: As asked.
        segments: Best first; those that no longer fit into ``budget_tokens`` are left out, the first is cut to fit.
        language: Name of a text search configuration; the answer is asked for in that language.
        budget_tokens: Tokens for all sources together.
    """
    sources = _fitting(segments, int(budget_tokens * CHARS_PER_TOKEN))
    numbered = "\n\n".join(f"[{number}] {source}" for number, source in enumerate(sources, start=1))
    system = (
        "You answer questions from the given sources and from nothing else. "
        f"Answer in {LANGUAGE_NAMES[language]}, in one short, complete sentence that repeats the exact names, numbers "
        "and dates of the source."
    )
    return (
        ChatMessage(role="system", content=system),
        ChatMessage(role="user", content=f"Sources:\n\n{numbered}\n\nQuestion: {question}"),
    )


def _fitting(segments: Sequence[Segment], budget_chars: int) -> list[str]:
    sources: list[str] = []
    left_chars = budget_chars
    for segment in segments:
        heading = " > ".join(segment.heading_path)
        source = f"{heading}\n{segment.text}" if heading else segment.text
        if len(source) > left_chars:
            if not sources:
                sources.append(source[:left_chars])
            break
        sources.append(source)
        left_chars -= len(source)
    return sources
