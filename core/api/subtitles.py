"""Spoken words as subtitles: cues of a length that can be read, written as SubRip or WebVTT. Pure."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterable, Sequence

from inference.values import Utterance, Word

LINE_LETTERS = 42
LINES = 2
LONGEST_S = 7.0
SHORTEST_S = 0.8
PAUSE_S = 1.0
"""Common practice of subtitling: two lines of 42 letters, one to seven seconds, a new cue after a pause."""

_CLAUSE_END = re.compile(r"[.?!,;:。？！，、；：…]['\"”’)\]»]*$")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What is shown at one time.

    Attributes:
        text: At most two lines.
        start_s: Seconds from the start of the media.
        end_s: Exclusive; never after the next cue's start.
        speaker: Label such as ``S1``, where known.
    """

    text: str
    start_s: float
    end_s: float
    speaker: str | None = None


def utterance_cues(utterances: Iterable[Utterance], *, speakers: Sequence[str | None] = ()) -> list[Cue]:
    """Cut utterances, in order of time, into cues that can be read.

    Args:
        utterances: With the times of their words; one without words is a cue as it stands.
        speakers: Label of each utterance, where known.
    """
    cues: list[Cue] = []
    for index, said in enumerate(utterances):
        speaker = speakers[index] if index < len(speakers) else None
        words = said.words or (Word(text=said.text, start_s=said.start_s, end_s=said.end_s, probability=0.0),)
        glue = " " if " " in said.text or len(words) == 1 else ""
        cues += [_cue(group, glue, speaker) for group in _groups(words, glue)]
    return _apart(cues)


def srt(cues: Sequence[Cue]) -> str:
    """Write cues as SubRip."""
    blocks = [
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{_said(cue)}\n"
        for number, cue in enumerate(cues, start=1)
    ]
    return "\n".join(blocks)


def vtt(cues: Sequence[Cue]) -> str:
    """Write cues as WebVTT; a speaker becomes a voice span."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        voice = f"<v {cue.speaker}>" if cue.speaker else ""
        blocks.append(f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def _groups(words: Sequence[Word], glue: str) -> list[list[Word]]:
    groups: list[list[Word]] = [[words[0]]]
    for word in words[1:]:
        if _is_full(groups[-1], word, glue):
            kept, rest = _clause_parted([*groups[-1], word])
            groups[-1] = kept
            groups.append(rest)
        else:
            groups[-1].append(word)
    return groups


def _is_full(group: Sequence[Word], word: Word, glue: str) -> bool:
    text = glue.join(one.text for one in (*group, word))
    return (
        word.start_s - group[-1].end_s >= PAUSE_S
        or word.end_s - group[0].start_s > LONGEST_S
        or len(_wrapped(text)) > LINES
    )


def _clause_parted(words: list[Word]) -> tuple[list[Word], list[Word]]:
    # A cue that ends with a clause reads better, as long as not much of the cue is lost by it.
    if words[-1].start_s - words[-2].end_s < PAUSE_S:
        for end in range(len(words) - 1, len(words) // 2, -1):
            if _CLAUSE_END.search(words[end - 1].text):
                return words[:end], words[end:]
    return words[:-1], words[-1:]


def _cue(words: Sequence[Word], glue: str, speaker: str | None) -> Cue:
    text = "\n".join(_wrapped(glue.join(word.text for word in words)))
    return Cue(text=text, start_s=words[0].start_s, end_s=words[-1].end_s, speaker=speaker)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, LINE_LETTERS, break_long_words=" " not in text) or [text]


def _apart(cues: Sequence[Cue]) -> list[Cue]:
    # A short cue stays a little longer, where the next one leaves the time.
    apart = []
    for cue, following in zip(cues, [*cues[1:], None], strict=True):
        end_s = max(cue.end_s, cue.start_s + SHORTEST_S)
        if following is not None:
            end_s = max(min(end_s, following.start_s), cue.start_s + 0.001)
        apart.append(dataclasses.replace(cue, end_s=end_s))
    return apart


def _said(cue: Cue) -> str:
    return f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text


def _clock(time_s: float, point: str) -> str:
    milliseconds = max(0, round(time_s * 1000))
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"
