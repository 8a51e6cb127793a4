"""Plain text: paragraphs between empty lines, numbered and capital headings.

The whole text stays as it was decoded, but that line ends inside hard-wrapped sentences become spaces.
"""

from __future__ import annotations

import itertools
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
_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,2}){0,4})\.?[^\S\n]+[^\W\d_]")
_DOTTED = re.compile(r"^\d{1,2}\.\d")
_HEADING_CHARS = 80
_INDENT = 3
_CAPITALS_MIN = 4
_WIDTH_MIN = 50
_WIDTH_MAX = 100
_OVERHANG = 8
_WRAPPED_SHARE = 0.6


def probe(path: Path, hint: str) -> SourceInfo:
    """Say that it is plain text; an empty file is EmptyInput."""
    read_bytes(path)
    return source_info(hint)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the paragraphs of the whole file."""
    text = decoded(read_bytes(path))
    if len(text) > request.limits.text_chars:
        raise LimitExceeded(f"'{path.name}' holds more than {request.limits.text_chars} characters of text")
    text = _unwrapped(text)
    blocks = _blocks(text)
    if not blocks:
        raise EmptyInput(f"'{path.name}' holds nothing but white space")
    return Parsed(extraction=Extraction(blocks=blocks, text=text))


def _blocks(text: str) -> tuple[TextBlock, ...]:
    found = list(_PARAGRAPH.finditer(text))
    levels = [_heading_level(text, one.start(), one.group()) for one in found]
    blocks: list[TextBlock] = []
    headings: list[tuple[int, str]] = []
    for index, one in enumerate(found):
        level = levels[index]
        # Items of a list are numbered too, but follow each other without text between them.
        if level and level in (*levels[max(0, index - 1) : index], *levels[index + 1 : index + 2]):
            level = 0
        if level:
            headings = [entry for entry in headings if entry[0] < level]
        blocks.append(
            TextBlock(
                text=one.group(),
                anchor=Anchor(start_char=one.start(), end_char=one.end()),
                role="heading" if level else _role(one.group()),
                heading_path=tuple(title for _, title in headings),
            )
        )
        if level:
            headings.append((level, " ".join(one.group().split())))
    return tuple(blocks)


def _heading_level(text: str, start: int, paragraph: str) -> int:
    """Return 1 for the outermost level, 0 for what is no heading."""
    indent = start - (text.rfind("\n", 0, start) + 1)
    # "2.1. Rules" is hardly an item of a list, "1. Nobody may" well inside is.
    at_margin = indent == 0 or (indent <= _INDENT and _DOTTED.match(paragraph))
    if not at_margin or len(paragraph) > _HEADING_CHARS or "\n" in paragraph or paragraph[-1] in ".,;:!?":
        return 0
    if paragraph.isupper() and sum(char.isalpha() for char in paragraph) >= _CAPITALS_MIN:
        return 1
    number = _NUMBERED.match(paragraph)
    return 1 + len(re.findall(r"\d+", number.group(1))) if number else 0


def _unwrapped(text: str) -> str:
    """Replace line ends that only keep to a width by as many spaces; every other character stays in its place."""
    lines = [line.rstrip() for line in text.split("\n")]
    lengths = sorted(len(line) for line in lines if line)
    width = lengths[int(0.9 * (len(lengths) - 1))] if lengths else 0
    if not _WIDTH_MIN <= width <= _WIDTH_MAX:
        return text
    pieces: list[str] = []
    raw = text.split("\n")
    for before, line in itertools.pairwise(raw):
        pieces += [before, " " if _is_wrapped(before, line, width) else "\n"]
    return "".join([*pieces, raw[-1]])


def _is_wrapped(line: str, following: str, width: int) -> bool:
    words = following.split(maxsplit=1)
    length = len(line.rstrip())
    if not words or length > width + _OVERHANG or length < _WRAPPED_SHARE * width or _BULLET.match(following):
        return False
    # Verse, code and addresses end their lines where the next word would still have had room.
    return length + 1 + len(words[0]) > width


def _role(paragraph: str) -> Role:
    lines = paragraph.split("\n")
    return "list" if len(lines) > 1 and all(_BULLET.match(line) for line in lines) else "paragraph"
