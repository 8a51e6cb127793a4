"""Splits a run of spoken words into utterances: at pauses, at the ends of sentences and before they get too long."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from inference.values import Utterance, Word

PAUSE_S = 0.6
LONGEST_S = 30.0

_SENTENCE_END = re.compile(r"[.?!。？！…؟।]['\"”’)\]»]*$")
_ABBREVIATION = re.compile(r"^(?:(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|no|e\.g|i\.e|[a-z])\.)$", re.IGNORECASE)
# Scripts that put no space between words; a recogniser's "words" there are single characters.
_UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue", "km", "bo"})


def utterances_split(words: Sequence[Word], language: str) -> tuple[Utterance, ...]:
    """Split words, which are in order of time, into utterances.

    Args:
        words: Texts without surrounding space.
        language: Of all words; decides whether they are joined with spaces.
    """
    glue = "" if language in _UNSPACED_LANGUAGES else " "
    return tuple(
        Utterance(
            text=glue.join(word.text for word in group),
            start_s=group[0].start_s,
            end_s=group[-1].end_s,
            words=tuple(group),
            language=language,
        )
        for group in _groups(words)
    )


def _groups(words: Iterable[Word]) -> list[list[Word]]:
    groups: list[list[Word]] = []
    for before, word in itertools.pairwise(itertools.chain([None], words)):
        assert word is not None
        if before is None or _parts(before, word) or word.end_s - groups[-1][0].start_s > LONGEST_S:
            groups.append([])
        groups[-1].append(word)
    return groups


def _parts(before: Word, word: Word) -> bool:
    if word.start_s - before.end_s > PAUSE_S:
        return True
    ends = _SENTENCE_END.search(before.text) and not _ABBREVIATION.match(before.text)
    return bool(ends) and not word.text[:1].islower()
