"""Near-duplicates among hits: the same words, up to spelling of spaces and a few words, or the same picture. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.segments.models import Segment

PICTURE_KINDS = ("image", "frame")

SAME_SHARE = 0.9
"""Shared word pairs over all word pairs of two texts from which on they say the same."""

SHORT_WORDS = 12
"""A text this short is a duplicate only of the very same words: one word is much of it."""

_WORD = re.compile(r"\w+", re.UNICODE)
_DIGIT = re.compile(r"\d")


class Fingerprint:
    """What is compared of a segment, computed once."""

    def __init__(self, segment: Segment) -> None:
        self._words = [match.group().lower() for match in _WORD.finditer(segment.text)]
        self._pairs = set(zip(self._words, self._words[1:], strict=False))
        # Texts that differ in a number differ in what they say, however much they share.
        self._numbers = [word for word in self._words if _DIGIT.search(word)]
        self._is_picture = segment.kind in PICTURE_KINDS
        self._picture = segment.picture_sha256
        self._document_id = segment.document_id

    def repeats(self, other: Fingerprint) -> bool:
        """Whether both say or show the same."""
        if self._is_picture != other._is_picture:
            # A picture and its words are different finds, except within one document, where one place is enough.
            return self._document_id == other._document_id and bool(self._words) and self._words == other._words
        if self._is_picture:
            same_words = self._document_id == other._document_id and bool(self._words) and self._words == other._words
            return same_words or bool(self._picture and self._picture == other._picture)
        return self._says_the_same(other)

    def _says_the_same(self, other: Fingerprint) -> bool:
        if not self._words or self._numbers != other._numbers:
            return False
        if self._words == other._words:
            return True
        if min(len(self._words), len(other._words)) <= SHORT_WORDS:
            return False
        shared = len(self._pairs & other._pairs)
        return shared / len(self._pairs | other._pairs) >= SAME_SHARE


def first_alike(fingerprint: Fingerprint, kept: Sequence[Fingerprint]) -> int | None:
    """Return the position of the first kept fingerprint that this one repeats."""
    return next((at for at, one in enumerate(kept) if fingerprint.repeats(one)), None)
