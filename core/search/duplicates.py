"""Near-duplicates among hits: the same words up to a few, or the same picture. Pure."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Sequence

from core.segments.models import Segment

PICTURE_KINDS = ("image", "frame")

SAME_SHARE = 0.85
"""Shared word pairs over all word pairs of two texts from which on they say the same."""

SHORT_WORDS = 12
"""A text this short is a duplicate only of the very same words: one word is much of it."""

SKETCH_PAIRS = 8
"""Smallest hashes of word pairs; texts that share most pairs share at least one of these."""

_EDGES = ".,;:!?()[]{}\"'“”„«»…–—-"


class Fingerprint:
    """What is compared of a segment, computed at most once."""

    def __init__(self, segment: Segment) -> None:
        self._words = tuple(segment.text.lower().split())
        self._is_picture = segment.kind in PICTURE_KINDS
        self._picture = segment.picture_sha256
        self._document_id = segment.document_id

    def repeats(self, other: Fingerprint) -> bool:
        """Whether both say or show the same."""
        if self._is_picture or other._is_picture:
            # A picture and its words are different finds, except in one document, where one place is enough.
            same_place = self._document_id == other._document_id and bool(self._words) and self._words == other._words
            both = self._is_picture and other._is_picture
            return same_place or (both and bool(self._picture) and self._picture == other._picture)
        return self._says_the_same(other)

    def _says_the_same(self, other: Fingerprint) -> bool:
        if self._words == other._words:
            return bool(self._words)
        if min(len(self._words), len(other._words)) <= SHORT_WORDS or self._sketch.isdisjoint(other._sketch):
            return False
        shared = len(self._pairs & other._pairs)
        # Texts that differ in a number differ in what they say, however much they share.
        return shared / len(self._pairs | other._pairs) >= SAME_SHARE and self._numbers == other._numbers

    @functools.cached_property
    def _pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset(zip(self._words, self._words[1:], strict=False))

    @functools.cached_property
    def _sketch(self) -> frozenset[int]:
        return frozenset(heapq.nsmallest(SKETCH_PAIRS, map(hash, self._pairs)))

    @functools.cached_property
    def _numbers(self) -> tuple[str, ...]:
        return tuple(word.strip(_EDGES) for word in self._words if any(map(str.isdigit, word)))


def first_alike(fingerprint: Fingerprint, kept: Sequence[Fingerprint]) -> int | None:
    """Return the position of the first kept fingerprint that this one repeats."""
    return next((at for at, one in enumerate(kept) if fingerprint.repeats(one)), None)
