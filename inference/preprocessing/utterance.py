"""Splits a run of spoken words into utterances: at pauses, at the ends of sentences and before they get too long."""

from __future__ import annotations

import dataclasses
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


def words_whole(pieces: Iterable[Word], language: str) -> list[Word]:
    """Put together what is written without a space, such as ``l'eau``, ``28.8`` and ``co-worker``.

    Args:
        pieces: In order of time; one that begins a word has a space before its text.
        language: Of all pieces; some languages put no space between words, there every piece is one.

    Returns:
        Words without surrounding space.
    """
    words: list[Word] = []
    for piece in pieces:
        text = piece.text.strip()
        if not text:
            continue
        if words and not piece.text[0].isspace() and language not in _UNSPACED_LANGUAGES:
            begun = words[-1]
            words[-1] = dataclasses.replace(
                begun,
                text=begun.text + text,
                end_s=max(begun.end_s, piece.end_s),
                probability=min(begun.probability, piece.probability),
            )
        else:
            words.append(dataclasses.replace(piece, text=text))
    return words


def ends_sentence(word: str) -> bool:
    """Whether a word has the mark of a sentence's end, and is no abbreviation."""
    return bool(_SENTENCE_END.search(word)) and not _ABBREVIATION.match(word)


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
    return ends_sentence(before.text) and not word.text[:1].islower()
