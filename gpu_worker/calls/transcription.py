"""A recording that came with a call: its sound is taken out in a sandbox, window by window, and transcribed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from core import remote
from core.remote import Recording
from gpu_worker import services
from gpu_worker.calls.embedding import role_require
from gpu_worker.engine_pool import Priority
from gpu_worker.material import wave_decode
from gpu_worker.speech_turns import Run, runs_of, spoken_sentences
from gpu_worker.steps.speech import SHARED_S
from inference.errors import EmptyInput, LimitExceeded, UnsupportedFormat
from inference.values import (
    SAMPLE_RATE_HZ,
    SourceInfo,
    SpeechRequest,
    Utterance,
    VoiceRequest,
    VoiceVectors,
    Waveform,
)

WINDOW_S = 600.0
SPEECH_DEADLINE_S = 900.0
MEDIA = ("audio", "video")

LONGEST_S = 3600.0
"""Whoever waits for the reply waits in one connection; longer recordings become documents."""

SHORT_S = 120.0
"""Recordings up to this length go before the steps of documents; longer ones take their turn with them."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Window:
    start_s: float
    waveform: Waveform


def recording_transcribe(recording: Recording) -> dict[str, Any]:
    """Return language, length and turns of a recording; see ``core.remote.recording_transcribe``.

    Raises:
        InputRejected: It is no sound, a damaged one, or one without a sound track.
    """
    role_require("speech")
    windows: list[tuple[float, list[Run], list[int]]] = []
    voices: list[VoiceVectors] = []
    languages: list[str] = []
    path = remote.call_file(recording.file)
    info = _probe(path, recording)
    for start_s, request in _requests(_sounds(path, info, recording), recording):
        runs, language = _heard(request, "interactive" if (info.duration_s or 0.0) <= SHORT_S else "bulk")
        languages.extend([language] * len(runs))
        windows.append((start_s, runs, []))
        if recording.speakers and runs:
            voices.append(_voices(request.waveform, runs))
    if recording.speakers:
        windows = _with_speakers(windows, voices)
    turns = spoken_sentences(windows)
    return {
        "language": max(set(languages), key=languages.count) if languages else "",
        "duration_s": round(info.duration_s or 0.0, 3),
        "turns": [_turn_json(utterance, speaker if recording.speakers else None) for utterance, speaker in turns],
    }


def _probe(path: Path, recording: Recording) -> SourceInfo:
    with services.sandboxes().lease(recording.owner) as sandbox:
        hint = PurePath(recording.name).suffix.lstrip(".")
        info = sandbox.probe(path, extension_hint=hint, name=recording.name)
    if info.family not in MEDIA:
        raise UnsupportedFormat(
            f"'{recording.name}' is {info.media_type}, not a recording; send mp3, mp4, m4a, wav, webm, flac or ogg"
        )
    if (info.duration_s or 0.0) > LONGEST_S:
        raise LimitExceeded(
            f"'{recording.name}' lasts {(info.duration_s or 0.0) / 60:.0f} minutes; the limit is {LONGEST_S / 60:.0f}: "
            "upload longer recordings as documents, they are transcribed in the background"
        )
    return info


def _sounds(path: Path, info: SourceInfo, recording: Recording) -> Iterator[_Window]:
    count = max(1, math.ceil((info.duration_s or 0.0) / WINDOW_S))
    silent = True
    for index in range(count):
        # The last window is open: a container's stated duration is often a little short.
        end_s = (index + 1) * WINDOW_S if index + 1 < count else None
        with services.sandboxes().lease(recording.owner) as sandbox:
            extraction, artefacts = sandbox.parse(
                path, info, start_s=index * WINDOW_S, end_s=end_s, name=recording.name
            )
        if extraction.audio_artefact is not None:
            silent = False
            sound = wave_decode(artefacts[extraction.audio_artefact])
            yield _Window(extraction.audio_start_s, sound)
    if silent:
        raise EmptyInput(f"'{recording.name}' has no sound track")


def _requests(sounds: Iterator[_Window], recording: Recording) -> Iterator[tuple[float, SpeechRequest]]:
    """Give every window the beginning of the next one, so that a word on their border is heard whole, and once."""
    shared = round(SHARED_S * SAMPLE_RATE_HZ)
    windows = (window for window in sounds if len(window.waveform))
    window, follows = next(windows, None), False
    while window is not None:
        following = next(windows, None)
        beginning = window.waveform[:0] if following is None else following.waveform[:shared]
        yield (
            window.start_s,
            SpeechRequest(
                waveform=np.concatenate([window.waveform, beginning]),
                language=recording.language,
                task=recording.task,
                prompt=recording.prompt,
                hot_words=tuple(recording.hot_words),
                shared_start_s=min(shared, len(window.waveform)) / SAMPLE_RATE_HZ if follows else 0.0,
                shared_end_s=len(beginning) / SAMPLE_RATE_HZ,
            ),
        )
        window, follows = following, True


def _heard(request: SpeechRequest, priority: Priority) -> tuple[list[Run], str]:
    with services.engines().lease(role="speech", priority=priority, deadline_s=SPEECH_DEADLINE_S) as engine:
        (transcript,) = engine.transcribe([request])
    return runs_of(transcript), transcript.language


def _voices(waveform: Waveform, runs: Sequence[Run]) -> VoiceVectors:
    spans = tuple((run.start_s, run.end_s) for run in runs)
    with services.engines().lease(role="speaker", priority="interactive", deadline_s=SPEECH_DEADLINE_S) as engine:
        (found,) = engine.embed_voices([VoiceRequest(waveform=waveform, spans=spans)])
    lengths = np.array([run.end_s - run.start_s for run in runs], dtype=np.float32)
    return VoiceVectors(vectors=found.vectors, lengths_s=lengths)


def _with_speakers(
    windows: Sequence[tuple[float, list[Run], list[int]]], voices: Sequence[VoiceVectors]
) -> list[tuple[float, list[Run], list[int]]]:
    if not voices:
        return list(windows)
    joined = VoiceVectors(
        vectors=np.concatenate([one.vectors for one in voices]),
        lengths_s=np.concatenate([one.lengths_s for one in voices if one.lengths_s is not None]),
    )
    with services.engines().lease(role="speaker", priority="interactive", deadline_s=SPEECH_DEADLINE_S) as engine:
        (labels,) = engine.cluster_voices([joined])
    given = iter(labels)
    return [(start_s, runs, [int(next(given)) for _ in runs]) for start_s, runs, _ in windows]


def _turn_json(utterance: Utterance, speaker: int | None) -> dict[str, Any]:
    return {
        "text": utterance.text,
        "start_s": utterance.start_s,
        "end_s": utterance.end_s,
        "speaker": None if speaker is None else f"S{speaker + 1}",
        "words": [[word.text, word.start_s, word.end_s, round(word.probability, 4)] for word in utterance.words],
    }
