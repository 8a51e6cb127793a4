"""The forms a transcript is asked for in. Pure."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

from core.api.subtitles import srt, utterance_cues, vtt
from inference.values import Utterance, Word

FORMATS = {
    "json": "application/json",
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
}


def transcript_shape(
    found: dict[str, Any], *, kind: str, task: str, granularities: Sequence[str]
) -> dict[str, Any] | str:
    """Return a transcript of ``core.remote.recording_transcribe`` in one of ``FORMATS``."""
    text = " ".join(turn["text"] for turn in found["turns"])
    usage = {"type": "duration", "seconds": math.ceil(found["duration_s"])}
    match kind:
        case "text":
            return f"{text}\n"
        case "srt":
            return srt(utterance_cues(_utterances(found)))
        case "vtt":
            return vtt(utterance_cues(_utterances(found)))
        case "verbose_json":
            return {**_verbose(found, task, text, granularities), "usage": usage}
        case "diarized_json":
            segments = [_diarized(index, turn) for index, turn in enumerate(found["turns"])]
            return {
                "task": task,
                "duration": found["duration_s"],
                "text": text,
                "segments": segments,
                "usage": usage,
            }
    return {"text": text, "usage": usage}


def _verbose(found: dict[str, Any], task: str, text: str, granularities: Sequence[str]) -> dict[str, Any]:
    shaped: dict[str, Any] = {
        "task": task,
        "language": found["language"],
        "duration": found["duration_s"],
        "text": text,
    }
    if "segment" in granularities:
        shaped["segments"] = [_segment(index, turn) for index, turn in enumerate(found["turns"])]
    if "word" in granularities:
        shaped["words"] = [
            {"word": word, "start": start_s, "end": end_s}
            for turn in found["turns"]
            for word, start_s, end_s, _ in turn["words"]
        ]
    return shaped


def _segment(index: int, turn: dict[str, Any]) -> dict[str, Any]:
    text = turn["text"].encode()
    logarithms = [math.log(max(probability, 1e-6)) for _, _, _, probability in turn["words"]]
    return {
        "id": index,
        "start": turn["start_s"],
        "end": turn["end_s"],
        "text": turn["text"],
        "temperature": 0.0,
        # Of words, not of the model's tokens, which are gone by now.
        "avg_logprob": sum(logarithms) / len(logarithms) if logarithms else None,
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
    }


def _diarized(index: int, turn: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"seg_{index:04d}",
        "type": "transcript.text.segment",
        "start": turn["start_s"],
        "end": turn["end_s"],
        "speaker": turn["speaker"],
        "text": turn["text"],
    }


def _utterances(found: dict[str, Any]) -> list[Utterance]:
    return [
        Utterance(
            text=turn["text"],
            start_s=turn["start_s"],
            end_s=turn["end_s"],
            words=tuple(
                Word(text=word, start_s=start_s, end_s=end_s, probability=probability)
                for word, start_s, end_s, probability in turn["words"]
            ),
            language=found["language"],
        )
        for turn in found["turns"]
    ]
