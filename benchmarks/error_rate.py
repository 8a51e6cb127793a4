"""How far is a text from its reference? Word and character error rate by edit distance."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SPELT = {"mr": "mister", "mrs": "missis", "dr": "doctor"}


def word_error_rate(reference: str, found: str) -> float:
    """Return insertions, deletions and substitutions of words per word of the reference, without case and marks."""
    wanted = _words(reference)
    return edit_distance(wanted, _words(found)) / len(wanted)


def character_error_rate(reference: str, found: str) -> float:
    """Return the edit distance in characters per character of the reference; runs of space count as one."""
    wanted = " ".join(reference.split())
    return edit_distance(wanted, " ".join(found.split())) / len(wanted)


def edit_distance(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return the least number of insertions, deletions and substitutions."""
    numbers = {token: number for number, token in enumerate(dict.fromkeys([*wanted, *found]))}
    columns = np.array([numbers[token] for token in found], dtype=np.int64)
    places = np.arange(len(found) + 1)
    distances = places.copy()
    for row, token in enumerate(wanted, start=1):
        kept = distances[:-1] + (columns != numbers[token])
        reached = np.concatenate([[row], np.minimum(kept, distances[1:] + 1)])
        # An insertion comes from the left: the least of all that lies there, one more for each place between.
        distances = np.minimum.accumulate(reached - places) + places
    return int(distances[-1])


def _words(text: str) -> list[str]:
    return [_SPELT.get(word, word) for word in _WORD.findall(text.casefold().replace("’", "'"))]
