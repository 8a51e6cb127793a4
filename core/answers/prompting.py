"""Builds the prompt: sources within the model's window, an instruction, the question; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from inference.values import ChatMessage

LANGUAGE_NAMES = {
    "english": "English",
    "german": "German",
    "french": "French",
    "spanish": "Spanish",
    "italian": "Italian",
    "portuguese": "Portuguese",
    "dutch": "Dutch",
    "russian": "Russian",
    "swedish": "Swedish",
    "danish": "Danish",
    "norwegian": "Norwegian",
    "finnish": "Finnish",
    "hungarian": "Hungarian",
    "romanian": "Romanian",
    "turkish": "Turkish",
    "greek": "Greek",
}

CHARS_PER_TOKEN = 3.5
"""Lower than any of the catalog's tokenizers averages on prose, so that a prompt errs on the short side."""

SOURCES_SHARE = 0.46
"""Of the window that is left beside the answer: question, instruction and chat template need room, and scripts other
than Latin take several tokens a word."""


class ReadSource(Protocol):
    """What the model reads as one source."""

    @property
    def heading_path(self) -> Sequence[str]:
        """Headings above it."""
        ...

    @property
    def text(self) -> str:
        """Its words."""
        ...


def prompt_messages(
    *, question: str, sources: Sequence[ReadSource], language: str, budget_chars: int
) -> tuple[ChatMessage, ...]:
    """Build the conversation for one question.

    Args:
        question: One that stands alone.
        sources: Best first; those that no longer fit into ``budget_chars`` are left out, the first is cut to fit.
        language: Name of a text search configuration; the answer is asked for in that language.
        budget_chars: For all sources together.
    """
    texts = _fitting(sources, budget_chars)
    numbered = "\n\n".join(f"[{number}] {source}" for number, source in enumerate(texts, start=1))
    system = (
        "You answer questions from the given sources and from nothing else. "
        f"Answer in {LANGUAGE_NAMES[language]}, in one short, complete sentence that repeats the exact names, numbers "
        "and dates of the source."
    )
    return (
        ChatMessage(role="system", content=system),
        ChatMessage(role="user", content=f"Sources:\n\n{numbered}\n\nQuestion: {question}"),
    )


def sources_budget_chars(*, context_tokens: int, answer_tokens: int) -> int:
    """Return how many characters of sources fit into a model's window; half of it, so that any tokenizer fits."""
    return int((context_tokens - answer_tokens) * SOURCES_SHARE * CHARS_PER_TOKEN)


def source_chars(heading_path: Sequence[str], text: str) -> int:
    """Return what a source takes of the budget."""
    return len(_shown(heading_path, text))


def _shown(heading_path: Sequence[str], text: str) -> str:
    heading = " > ".join(heading_path)
    return f"{heading}\n{text}" if heading else text


def _fitting(sources: Sequence[ReadSource], budget_chars: int) -> list[str]:
    texts: list[str] = []
    left_chars = budget_chars
    for one in sources:
        source = _shown(one.heading_path, one.text)
        if len(source) > left_chars:
            if not texts:
                texts.append(source[:left_chars])
            break
        texts.append(source)
        left_chars -= len(source)
    return texts
