"""Live captions: which words of a growing recording are final, and how much of its sound is still needed. Pure.

LocalAgreement-2 (Liu et al. 2020, arXiv 2005.11185), as Machacek et al. 2023 (arXiv 2307.14743) use it for streaming
with Whisper: the kept sound is transcribed again and again while it grows, and a word is final when two passes in a row
agree on it and on everything before it. Sound before a confirmed end of a sentence is let go, so that the window, and
with it memory and the cost of a pass, stays bounded.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from inference.preprocessing.utterance import ends_sentence
from inference.values import LIVE_WINDOW_MAX_S, Transcript, Word

TRIM_S = 4.0
PAUSE_S = 0.3
LONG_S = 10.0
"""A window longer than TRIM_S is let go up to the last confirmed sentence with a pause after it: the model often stops
at such a place, and hears what follows late. One longer than LONG_S is let go up to any sentence that another follows.
"""

SILENCE_S = 2.0
ONSET_S = 1.0
"""After so much silence everything is let go but the last second, in which a word may be beginning."""

UNHEARD_S = 1.0
"""A voice that goes on so long after the last final word has said something that is not known yet."""

EDGE_S = 0.5
CONTEXT_WORDS = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """All that is remembered between two passes; times count from the start of the session.

    Attributes:
        keep_from_s: Where the sound that is still needed begins.
        heard_until_s: Where the sound of the last pass ended.
        confirmed: Final words that lie in the kept sound.
        pending: Words that the last pass heard after them.
    """

    keep_from_s: float = 0.0
    heard_until_s: float = 0.0
    confirmed: tuple[Word, ...] = ()
    pending: tuple[Word, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values that ``from_json`` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, public: dict[str, Any]) -> LiveState:
        """Read what ``as_json`` gave."""
        words = {name: tuple(Word(**word) for word in public[name]) for name in ("confirmed", "pending")}
        return cls(keep_from_s=public["keep_from_s"], heard_until_s=public["heard_until_s"], **words)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LivePass:
    """What one pass brought.

    Attributes:
        confirmed: Newly final words, in order; they follow all that were confirmed before and never change.
        partial: What was heard after them and may change.
        state: For the next pass.
    """

    confirmed: tuple[Word, ...]
    partial: tuple[Word, ...]
    state: LiveState


def live_pass(state: LiveState, transcript: Transcript, *, heard_until_s: float, is_last: bool = False) -> LivePass:
    """Compare a transcript of the kept sound with the pass before.

    Args:
        state: After the pass before.
        transcript: Of the sound from ``state.keep_from_s`` to ``heard_until_s``, at most LIVE_WINDOW_MAX_S of it; its
            times count from the start of that sound.
        heard_until_s: Where that sound ends.
        is_last: No sound follows: all that was heard is final.
    """
    heard = [_shifted(word, state.keep_from_s) for utterance in transcript.utterances for word in utterance.words]
    fresh = heard[_known(state.confirmed, heard) :]
    if is_last:
        agreed = len(fresh)
    else:
        agreed = _agreement(state.pending, fresh)
        if heard_until_s <= state.heard_until_s:
            # The same sound twice: it agrees with itself, even in a word that its end cuts off.
            agreed = min(agreed, sum(word.end_s < heard_until_s - EDGE_S for word in fresh))
    confirmed, partial = tuple(_in_order(state.confirmed, fresh[:agreed])), tuple(fresh[agreed:])
    known = (*state.confirmed, *confirmed)
    voiced_until_s = state.keep_from_s + transcript.voiced_until_s
    keep_s = _keep_from_s(known, partial, state, heard_until_s, voiced_until_s)
    following = LiveState(
        keep_from_s=keep_s,
        heard_until_s=heard_until_s,
        confirmed=tuple(word for word in known if (word.start_s + word.end_s) / 2 >= keep_s),
        pending=partial,
    )
    return LivePass(confirmed=confirmed, partial=partial, state=following)


def _known(confirmed: Sequence[Word], heard: Sequence[Word]) -> int:
    """Return how many of the words that were heard are the confirmed ones again, by least edit distance."""
    if not confirmed:
        return 0
    distances = list(range(len(heard) + 1))
    for row, before in enumerate(confirmed, start=1):
        diagonal, distances[0] = distances[0], row
        for column, word in enumerate(heard, start=1):
            cost = 0 if _letters(before) == _letters(word) else 1
            diagonal, distances[column] = (
                distances[column],
                min(diagonal + cost, distances[column] + 1, distances[column - 1] + 1),
            )
    end_s = confirmed[-1].end_s

    def late_s(count: int) -> float:
        return abs((heard[count - 1].end_s if count else confirmed[0].start_s) - end_s)

    return min(range(len(heard) + 1), key=lambda count: (distances[count], late_s(count)))


def _agreement(before: Sequence[Word], now: Sequence[Word]) -> int:
    agreed = itertools.takewhile(lambda pair: _letters(pair[0]) == _letters(pair[1]), zip(before, now, strict=False))
    return sum(1 for _ in agreed)


def _letters(word: Word) -> str:
    letters = "".join(letter for letter in word.text.casefold() if letter.isalnum())
    return letters or word.text


def _in_order(confirmed: Sequence[Word], words: Sequence[Word]) -> list[Word]:
    """Keep times in order: the times of two passes differ a little."""
    earliest_s = confirmed[-1].end_s if confirmed else 0.0
    placed = []
    for word in words:
        start_s = max(word.start_s, earliest_s)
        placed.append(dataclasses.replace(word, start_s=start_s, end_s=max(word.end_s, start_s)))
        earliest_s = placed[-1].end_s
    return placed


def _keep_from_s(
    confirmed: Sequence[Word],
    partial: Sequence[Word],
    state: LiveState,
    heard_until_s: float,
    voiced_until_s: float,
) -> float:
    keep_s, length_s = state.keep_from_s, heard_until_s - state.keep_from_s
    known_until_s = confirmed[-1].end_s if confirmed else keep_s
    is_silent = heard_until_s - max(known_until_s, voiced_until_s) > SILENCE_S
    if is_silent and not partial and voiced_until_s - known_until_s < UNHEARD_S:
        return max(keep_s, heard_until_s - ONSET_S)
    if length_s > TRIM_S:
        pauses_s = _pauses_s(confirmed, partial, heard_until_s - max(known_until_s, voiced_until_s))
        long_enough_s = PAUSE_S if length_s <= LONG_S else 0.0
        ends = [
            index
            for index, (word, pause_s) in enumerate(zip(confirmed, pauses_s, strict=True))
            if pause_s >= long_enough_s and ends_sentence(word.text)
        ]
        if ends:
            return max(keep_s, _gap_s(confirmed, partial, ends[-1]))
    if length_s > LIVE_WINDOW_MAX_S - 1.0 and heard_until_s <= state.heard_until_s:
        # The same sound twice, and still no end: where nothing was agreed on, such as noise with a voice in it, half of
        # it is given up.
        cuts = [_gap_s(confirmed, partial, index) for index in _last_resorts(confirmed)]
        return next(cut_s for cut_s in (*cuts, keep_s + length_s / 2) if cut_s > keep_s + 1.0)
    return keep_s


def _pauses_s(confirmed: Sequence[Word], partial: Sequence[Word], silence_s: float) -> list[float]:
    """Return the pause after each confirmed word; negative after the last while more may be said in one breath."""
    following = [*confirmed[1:], *partial[:1]]
    pauses_s = [max(0.0, after.start_s - word.end_s) for word, after in zip(confirmed, following, strict=False)]
    return pauses_s if len(pauses_s) == len(confirmed) else [*pauses_s, silence_s if silence_s >= PAUSE_S else -1.0]


def _last_resorts(confirmed: Sequence[Word]) -> list[int]:
    """Return the words after which a full window may be cut, the best first."""
    if len(confirmed) <= CONTEXT_WORDS:
        return [len(confirmed) - 1] if confirmed else []
    return [_widest_gap(confirmed), len(confirmed) - 1 - CONTEXT_WORDS, len(confirmed) - 1]


def _widest_gap(confirmed: Sequence[Word]) -> int:
    later_half = range(len(confirmed) // 2, max(len(confirmed) // 2 + 1, len(confirmed) - CONTEXT_WORDS))
    return max(later_half, key=lambda index: confirmed[index + 1].start_s - confirmed[index].end_s)


def _gap_s(confirmed: Sequence[Word], partial: Sequence[Word], index: int) -> float:
    """Return the middle of the gap after a confirmed word."""
    following = (*confirmed[index + 1 :], *partial)
    end_s = confirmed[index].end_s
    return (end_s + max(end_s, following[0].start_s)) / 2 if following else end_s


def _shifted(word: Word, shift_s: float) -> Word:
    return dataclasses.replace(word, start_s=round(word.start_s + shift_s, 3), end_s=round(word.end_s + shift_s, 3))
