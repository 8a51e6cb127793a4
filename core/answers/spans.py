"""Cuts texts into quotable spans: sentences, table rows, lines; every span is a slice of its text."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    """
    dr mr mrs ms prof st no nr vs etc e.g i.e z.b d.h bzw ca approx fig sec vol jan feb mar apr jun jul aug sep
    sept oct nov dec
    """.split()  # noqa: SIM905 - prose reads better than thirty quoted words
)
_LINE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)|\n+")
_PARAGRAPH_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)|\n\s*\n")


def sentence_spans(text: str, *, by_line: bool = True) -> list[tuple[int, int]]:
    """Return (start, end) of each sentence of ``text``, without surrounding space, in order.

    Args:
        text: Any text.
        by_line: A line break ends a sentence too, as in tables and lists; else only a blank line does, since prose may
            be wrapped.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in (_LINE_END if by_line else _PARAGRAPH_END).finditer(text):
        if not match.group().startswith("\n") and _is_abbreviation(text, match.start()):
            continue
        _append(spans, text, start, match.end())
        start = match.end()
    _append(spans, text, start, len(text))
    return spans


def finished_sentences(text: str) -> tuple[list[str], str]:
    """Split a growing text into the sentences that are finished and the rest that may still grow."""
    ends = [
        match.end()
        for match in _LINE_END.finditer(text)
        if match.end() < len(text) and not _is_abbreviation(text, match.start())
    ]
    if not ends:
        return [], text
    done, rest = text[: ends[-1]], text[ends[-1] :]
    return [done[start:end] for start, end in sentence_spans(done)], rest


def _is_abbreviation(text: str, dot: int) -> bool:
    word = re.search(r"[\w.]+$", text[max(0, dot - 12) : dot])
    if word is None:
        return False
    last = word.group().lower()
    # A single letter or a number before the dot is an initial or an ordinal ("12. März"), unless the text ends there.
    ordinal = last.isdigit() and len(last) <= 2 and text[dot + 1 : dot + 3].strip()[:1].isalpha()
    return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha()) or ordinal


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if re.search(r"\w", stripped):
        left = start + len(piece) - len(piece.lstrip())
        spans.append((left, left + len(stripped)))
