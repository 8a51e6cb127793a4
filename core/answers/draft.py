"""An answer while it is made: checked sentences with their citations, a notice before them, why it ended."""

from __future__ import annotations

import dataclasses
from typing import Any

from core.answers.attribution import Citation


@dataclasses.dataclass(slots=True)
class Draft:
    """What was said so far.

    Attributes:
        notice: Said before the first sentence.
        extractive: Whether the sentences are the sources' own words.
        pictured: Whether the vision-language role answered.
        stopped: ``cancelled``, ``abandoned``, or None when the answer ended by itself.
        prompt_tokens: What the language model read, with ``completion_tokens`` that it wrote; None where it was not
            asked or did not come to its end.
    """

    sentences: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    citations: list[Citation] = dataclasses.field(default_factory=list)
    notice: str = ""
    extractive: bool = False
    pictured: bool = False
    refused: bool = False
    stopped: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def add(self, text: str, citation: Citation | None) -> dict[str, Any]:
        """Append one checked sentence and return it as its event shows it."""
        numbers = [self._number(citation)] if citation is not None else []
        sentence = {"text": text, "citations": numbers, "unsupported": citation is None}
        self.sentences.append(sentence)
        return sentence

    def clear(self) -> str:
        """Take everything back that was said, and return it."""
        said = " ".join(one["text"] for one in self.sentences)
        self.sentences.clear()
        self.citations.clear()
        return said

    def _number(self, citation: Citation) -> int:
        if citation not in self.citations:
            self.citations.append(citation)
        return self.citations.index(citation) + 1

    @property
    def text(self) -> str:
        """The whole answer with its marks."""
        marked = [
            one["text"] + ("".join(f" [{n}]" for n in one["citations"]) if one["citations"] else " [unsupported]")
            for one in self.sentences
        ]
        return " ".join(([self.notice] if self.notice else []) + marked)
