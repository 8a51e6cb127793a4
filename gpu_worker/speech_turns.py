"""Words into runs between pauses, and runs of one speaker into sentences: pure functions over transcripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from inference.values import Transcript, Utterance, Word

PAUSE_S = 0.35
"""A gap between words that ends a run; a voice is told per run, so a run should hold one speaker."""

SENTENCE_PAUSE_S = 1.5
SENTENCE_MAX_S = 30.0
_SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Words between two pauses; times count from the start of the window."""

    text: str
    words: tuple[Word, ...]
    language: str

    @property
    def start_s(self) -> float:
        """Start of the first word."""
        return self.words[0].start_s

    @property
    def end_s(self) -> float:
        """End of the last word."""
        return max(self.words[-1].end_s, self.start_s + 0.01)


def runs_of(transcript: Transcript) -> list[Run]:
    """Cut the utterances of a transcript at pauses and ends of sentences."""
    return [run for utterance in transcript.utterances for run in _utterance_runs(utterance)]


def spoken_sentences(windows: Sequence[tuple[float, Sequence[Run], Sequence[int]]]) -> list[tuple[Utterance, int]]:
    """Join neighbouring runs of one speaker into sentences, over all windows of a part.

    Args:
        windows: (start of the window in the media, its runs, the speaker of each run), in order.

    Returns:
        (what was said, number of the speaker); times count from the start of the media.
    """
    sentences: list[tuple[Utterance, int]] = []
    for start_s, runs, speakers in windows:
        for run, speaker in zip(runs, speakers_filled(speakers, len(runs)), strict=True):
            following = _shifted(run, start_s)
            if sentences and sentences[-1][1] == speaker and _continues(sentences[-1][0], following):
                sentences[-1] = (_joined(sentences[-1][0], following), speaker)
            else:
                sentences.append((following, speaker))
    return sentences


def speakers_filled(speakers: Sequence[int], count: int) -> list[int]:
    """Give runs that were too short to tell (negative, or missing) the speaker before them, else the one after."""
    found = [*speakers, *([-1] * (count - len(speakers)))]
    for index in range(1, len(found)):
        if found[index] < 0:
            found[index] = found[index - 1]
    for index in reversed(range(len(found) - 1)):
        if found[index] < 0:
            found[index] = found[index + 1]
    return [max(0, speaker) for speaker in found]


def _utterance_runs(utterance: Utterance) -> list[Run]:
    words = utterance.words or (
        Word(text=utterance.text, start_s=utterance.start_s, end_s=utterance.end_s, probability=0.0),
    )
    groups: list[list[Word]] = [[words[0]]]
    for word in words[1:]:
        last = groups[-1][-1]
        if word.start_s - last.end_s >= PAUSE_S or last.text.rstrip().endswith(_SENTENCE_ENDS):
            groups.append([])
        groups[-1].append(word)
    position = 0
    runs = []
    for group in groups:
        text, position = _slice(utterance.text, group, position)
        runs.append(Run(text=text, words=tuple(group), language=utterance.language))
    return runs


def _slice(text: str, words: Sequence[Word], position: int) -> tuple[str, int]:
    # The utterance's own spelling between its words is kept: some languages put no space there.
    start = None
    end = position
    for word in words:
        found = text.find(word.text.strip(), end)
        if found < 0:
            return " ".join(word.text.strip() for word in words), position
        start = found if start is None else start
        end = found + len(word.text.strip())
    return text[start:end], end


def _shifted(run: Run, start_s: float) -> Utterance:
    words = tuple(
        dataclasses.replace(
            word, text=word.text.strip(), start_s=round(word.start_s + start_s, 3), end_s=round(word.end_s + start_s, 3)
        )
        for word in run.words
    )
    return Utterance(
        text=run.text,
        words=words,
        start_s=round(run.start_s + start_s, 3),
        end_s=round(run.end_s + start_s, 3),
        language=run.language,
    )


def _continues(last: Utterance, following: Utterance) -> bool:
    return (
        not last.text.endswith(_SENTENCE_ENDS)
        and following.start_s - last.end_s < SENTENCE_PAUSE_S
        and following.end_s - last.start_s <= SENTENCE_MAX_S
    )


def _joined(first: Utterance, second: Utterance) -> Utterance:
    return Utterance(
        text=f"{first.text} {second.text}",
        words=first.words + second.words,
        start_s=first.start_s,
        end_s=second.end_s,
        language=first.language,
    )
