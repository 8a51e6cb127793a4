"""Is speech recognition as fast as its library, and are short clips worth merging?

Both sides run in this process, so that they have the same cores, model, beam and threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.anchor import anchor
from benchmarks.error_rate import word_error_rate
from benchmarks.recordings import Spoken, joined, recordings
from benchmarks.report import Figure, figure_of_runs, report
from core.settings.env import REPOSITORY, env
from inference.registry import engine_load
from inference.values import SpeechRequest, Transcript
from models_local.catalog import catalog_read
from models_local.store import Store

MODEL = "whisper-base"
LANGUAGE = "en"
THREADS = 2
BEAM = 5
BATCH_WINDOWS = 4
ROUNDS = 3
CLIPS = 10
CLIP_S = 5.0
"""The clips are the recordings that come nearest to this length."""


def compared(ways: Mapping[str, Callable[[], str]]) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Run the ways in turn, round after round; returns the seconds of each, and what each wrote last."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, str] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun_s = time.perf_counter()
            texts[name] = way()
            seconds[name].append(time.perf_counter() - begun_s)
    return seconds, texts


def long_recording(engine: Any, model: WhisperModel, spoken: Spoken) -> list[Figure]:
    """Compare a recording of some minutes with both ways of the library, word times wanted of all."""
    pipeline = BatchedInferencePipeline(model)

    def ours() -> str:
        return text_of(engine.transcribe([SpeechRequest(waveform=spoken.sound, language=LANGUAGE)])[0])

    def batched() -> str:
        segments, _ = pipeline.transcribe(
            spoken.sound, language=LANGUAGE, beam_size=BEAM, batch_size=BATCH_WINDOWS, word_timestamps=True
        )
        return " ".join(segment.text for segment in segments)

    def sequential() -> str:
        segments, _ = model.transcribe(spoken.sound, language=LANGUAGE, beam_size=BEAM, word_timestamps=True)
        return " ".join(segment.text for segment in segments)

    beside = anchor()
    seconds, texts = compared({"ours": ours, "batched": batched, "sequential": sequential})
    quality = {f"wer_{name}": round(word_error_rate(spoken.text, text), 4) for name, text in texts.items()}
    quality["sound_s"] = round(spoken.duration_s, 1)
    return [
        figure_of_runs(
            f"speech / raw {name}",
            [theirs / own for own, theirs in zip(seconds["ours"], seconds[way], strict=True)],
            goal=goal,
            quality=quality,
            anchor=beside,
        )
        for way, name, goal in (
            ("batched", "BatchedInferencePipeline", 0.95),
            ("sequential", "sequential faster-whisper", 1.6),
        )
    ]


def short_clips(engine: Any, model: WhisperModel, spoken: list[Spoken]) -> list[Figure]:
    """Compare ten clips in one call with the same clips one by one, in this engine and in the library."""
    clips = [one.sound for one in spoken]
    requests = [SpeechRequest(waveform=clip, language=LANGUAGE) for clip in clips]
    wanted = " ".join(one.text for one in spoken)
    pipeline = BatchedInferencePipeline(model)

    def packed() -> str:
        return " ".join(text_of(one) for one in engine.transcribe(requests))

    def one_by_one() -> str:
        return " ".join(text_of(engine.transcribe([one])[0]) for one in requests)

    def library() -> str:
        texts = []
        for clip in clips:
            segments, _ = pipeline.transcribe(clip, language=LANGUAGE, beam_size=BEAM, word_timestamps=True)
            texts += [segment.text for segment in segments]
        return " ".join(texts)

    beside = anchor()
    seconds, texts = compared({"packed": packed, "one_by_one": one_by_one, "library": library})
    quality = {f"wer_{name}": round(word_error_rate(wanted, text), 4) for name, text in texts.items()}
    quality["clip_s"] = round(sum(one.duration_s for one in spoken) / len(spoken), 2)
    return [
        figure_of_runs(
            f"ten 5-s clips packed / one by one {where}",
            [theirs / own for own, theirs in zip(seconds["packed"], seconds[way], strict=True)],
            goal=goal,
            quality=quality,
            anchor=beside,
            reason=reason,
        )
        for way, where, goal, reason in (
            ("library", "with the library", 2.5, ""),
            (
                "one_by_one",
                "in this engine",
                None,
                "only reported: this engine does not pad a single clip to 30 s either",
            ),
        )
    ]


def text_of(transcript: Transcript) -> str:
    """Return what was said."""
    return " ".join(utterance.text for utterance in transcript.utterances)


def main() -> dict[str, Any]:
    """Measure, print and store."""
    catalog = catalog_read(REPOSITORY / "configs" / "models.toml")
    store = Store(env().weights, catalog)
    options = {"beam_size": BEAM, "batch_windows": BATCH_WINDOWS}
    spoken = recordings()
    clips = sorted(spoken, key=lambda one: abs(one.duration_s - CLIP_S))[:CLIPS]
    engine = engine_load("faster_whisper", [store.folder(MODEL)], threads=THREADS, options=options)
    raw = WhisperModel(
        str(store.folder(MODEL)), device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True
    )
    figures = [*long_recording(engine, raw, joined(spoken)), *short_clips(engine, raw, clips)]
    return report(
        "speech",
        figures,
        models={MODEL: catalog.model(MODEL).digest},
        settings={"threads": THREADS, "beam_size": BEAM, "batch_windows": BATCH_WINDOWS, "compute_type": "int8"},
    )


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
