"""Cuts the window of a segment's text that says most about a query."""

from __future__ import annotations

import re
from collections.abc import Iterable

SNIPPET_CHARS = 280

_PIECE = re.compile(r"[^\n.!?]+[.!?]*|\n")


def snippet(text: str, wanted: Iterable[str], length_chars: int = SNIPPET_CHARS) -> str:
    """Return at most ``length_chars`` characters around the most wanted words, cut at word borders, ``…`` where cut."""
    text = text.strip()
    if len(text) <= length_chars:
        return text
    start = _best_start(text, {word.lower() for word in wanted}, length_chars)
    end = min(len(text), start + length_chars)
    if start > 0:
        start = text.find(" ", start, end) + 1 or start
    if end < len(text):
        end = text.rfind(" ", start, end) if " " in text[start:end] else end
    return ("… " if start else "") + text[start:end].strip() + (" …" if end < len(text) else "")


def _best_start(text: str, wanted: set[str], length_chars: int) -> int:
    beginnings = tuple(want for want in wanted if len(want) > 3)
    found = ((match.start(), match.group().lower()) for match in re.finditer(r"\w+", text))
    hits = [start for start, word in found if word in wanted or word.startswith(beginnings)]
    if not hits:
        return 0
    starts = [max(0, hit - length_chars // 4) for hit in hits]
    return max(starts, key=lambda start: (sum(start <= hit < start + length_chars for hit in hits), -start))
