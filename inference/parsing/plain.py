"""Plain text: paragraphs between empty lines; the whole text stays as it was decoded."""

from __future__ import annotations

import re
from pathlib import Path

from inference.errors import EmptyInput, LimitExceeded
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Role
from inference.parsing.encoding import decoded
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import Anchor, Extraction, SourceInfo, TextBlock

_PARAGRAPH = re.compile(r"\S(?:.*\S)?(?:\n[^\S\n]*\S(?:.*\S)?)*")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,3}[.)])\s+\S")


def probe(path: Path, hint: str) -> SourceInfo:
    """Say that it is plain text; an empty file is EmptyInput."""
    read_bytes(path)
    return source_info(hint)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the paragraphs of the whole file."""
    text = decoded(read_bytes(path))
    if len(text) > request.limits.text_chars:
        raise LimitExceeded(f"'{path.name}' holds more than {request.limits.text_chars} characters of text")
    blocks = tuple(
        TextBlock(
            text=found.group(),
            anchor=Anchor(start_char=found.start(), end_char=found.end()),
            role=_role(found.group()),
        )
        for found in _PARAGRAPH.finditer(text)
    )
    if not blocks:
        raise EmptyInput(f"'{path.name}' holds nothing but white space")
    return Parsed(extraction=Extraction(blocks=blocks, text=text))


def _role(paragraph: str) -> Role:
    lines = paragraph.split("\n")
    return "list" if len(lines) > 1 and all(_BULLET.match(line) for line in lines) else "paragraph"
