"""Subtitles: one turn per cue and voice, with its times; the speaker comes from WebVTT voice tags."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pysubs2

from inference.errors import DamagedFile, EmptyInput
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import flat
from inference.parsing.encoding import decoded
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import Anchor, Extraction, SourceInfo, TextBlock

_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>]*>|\{\\[^}]*\}")
_NOTE_BLOCK = re.compile(r"^(NOTE|STYLE|REGION)\b[^\n]*(\n[^\n]+)*", re.MULTILINE)
_SHORTEST_S = 0.001


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the cues; the duration is the end of the last one."""
    cues = _cues(path, hint)
    return source_info(hint, duration_s=max(cue.end for cue in cues) / 1_000)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Read the turns whose start lies in the requested window."""
    turns = sorted(_turns(path, info.extension), key=lambda turn: turn.anchor.start_s or 0.0)
    if not turns:
        raise EmptyInput(f"'{path.name}' holds no cue with text")
    first_s = request.start_s or 0.0
    last_s = float("inf") if request.end_s is None else request.end_s
    wanted = tuple(turn for turn in turns if first_s <= (turn.anchor.start_s or 0.0) < last_s)
    return Parsed(extraction=Extraction(blocks=wanted))


def _cues(path: Path, extension: str) -> list[pysubs2.SSAEvent]:
    text = decoded(read_bytes(path))
    if extension == "vtt":
        text = _NOTE_BLOCK.sub("", text)
    try:
        subtitles = pysubs2.SSAFile.from_string(text, format_=extension, keep_unknown_html_tags=True)
    except (pysubs2.exceptions.Pysubs2Error, ValueError) as error:
        raise DamagedFile(f"'{path.name}' cannot be read as subtitles: {error}") from error
    cues = [cue for cue in subtitles if cue.text.strip()]
    if not cues:
        raise EmptyInput(f"'{path.name}' holds no cue with text")
    return cues


def _turns(path: Path, extension: str) -> Iterator[TextBlock]:
    for cue in _cues(path, extension):
        start_s = cue.start / 1_000
        end_s = max(cue.end / 1_000, start_s + _SHORTEST_S)
        for speaker, words in _voices(cue.text):
            yield TextBlock(
                text=words,
                anchor=Anchor(start_s=start_s, end_s=end_s, speaker=speaker),
                role="turn",
            )


def _voices(text: str) -> Iterator[tuple[str | None, str]]:
    silent, *tagged = _VOICE.split(text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " "))
    for speaker, words in [(None, silent), *zip(tagged[::2], tagged[1::2], strict=True)]:
        said = flat(html.unescape(_TAG.sub("", words)))
        if said:
            yield (flat(html.unescape(speaker)) if speaker else None), said
