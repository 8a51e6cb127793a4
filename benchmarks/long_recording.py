"""Does memory stay flat while hours of sound are read, transcribed and told apart by speaker?

One file of eight hours, in which people speak for three quarters of a minute in every ten: read window by window in the
sandbox, transcribed with the small English model, all as the steps of a document do it.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import django
import numpy as np

from benchmarks.anchor import anchor
from benchmarks.error_rate import word_error_rate
from benchmarks.recordings import Spoken, joined, recordings
from benchmarks.report import Figure, report
from core.host.memory import tree_pss_mib
from core.settings.env import REPOSITORY, env, environment_default
from inference.registry import engine_load
from inference.sandbox import Sandbox
from inference.values import SAMPLE_RATE_HZ, SourceInfo, SpeechRequest, VoiceRequest, VoiceVectors, Waveform
from models_local.catalog import catalog_read
from models_local.store import Store

environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
django.setup()

from gpu_worker.material import wave_decode  # noqa: E402 - models load after Django is set up
from gpu_worker.speech_turns import Run, runs_of  # noqa: E402
from gpu_worker.steps.probe import WINDOW_S  # noqa: E402
from gpu_worker.steps.speech import SHARED_S  # noqa: E402

HOURS = 8
PERIOD_S = 617.0
"""Not the length of a window, so that every window border falls somewhere else in the speech."""

RECORDINGS = slice(2, 12)

CODEC_CHUNK = 16_000


def long_file(path: Path, spoken: Spoken) -> int:
    """Write the file as FLAC, a period at a time; returns how often the recording is in it."""
    silence = np.zeros(round(PERIOD_S * SAMPLE_RATE_HZ) - len(spoken.sound), np.float32)
    period = (np.concatenate([spoken.sound, silence]) * 32767).astype(np.int16)
    times = -int(-HOURS * 3600 // PERIOD_S)
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        for _ in range(times):
            for start in range(0, len(period), CODEC_CHUNK):
                frame = av.AudioFrame.from_ndarray(period[None, start : start + CODEC_CHUNK], "s16", "mono")
                frame.sample_rate = SAMPLE_RATE_HZ
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return times


class Reading:
    """Reads the file as a document's steps do, and notes the memory of every window."""

    def __init__(self, store: Store) -> None:
        self._speech = engine_load("faster_whisper", [store.folder("whisper-tiny-en")], threads=2)
        self._voices = engine_load("ge2e", [store.folder("ge2e-speaker")], threads=1)
        self.pss_mib: list[float] = []
        self.words: list[str] = []
        self._vectors: list[VoiceVectors] = []

    def read(self, path: Path, sandbox: Sandbox) -> int:
        """Transcribe the file; returns how many speakers were told apart."""
        info = sandbox.probe(path, extension_hint="flac")
        count = round(-(-(info.duration_s or 0.0) // WINDOW_S))
        own = _sound(path, info, sandbox, 0, count)
        for index in range(count):
            following = _sound(path, info, sandbox, index + 1, count) if index + 1 < count else own[:0]
            self._hear(own, following[: round(SHARED_S * SAMPLE_RATE_HZ)], follows=index > 0)
            own = following
            self.pss_mib.append(tree_pss_mib([os.getpid()]))
        joined_voices = VoiceVectors(
            vectors=np.concatenate([one.vectors for one in self._vectors]),
            lengths_s=np.concatenate([one.lengths_s for one in self._vectors if one.lengths_s is not None]),
        )
        (labels,) = self._voices.cluster_voices([joined_voices])
        self.pss_mib.append(tree_pss_mib([os.getpid()]))
        return len(set(labels))

    def _hear(self, own: Waveform, shared: Waveform, *, follows: bool) -> None:
        request = SpeechRequest(
            waveform=np.concatenate([own, shared]),
            language="en",
            shared_start_s=min(SHARED_S, len(own) / SAMPLE_RATE_HZ) if follows else 0.0,
            shared_end_s=len(shared) / SAMPLE_RATE_HZ,
        )
        (transcript,) = self._speech.transcribe([request])
        runs: list[Run] = runs_of(transcript)
        self.words += [run.text for run in runs]
        if runs:
            spans = tuple((run.start_s, run.end_s) for run in runs)
            (voices,) = self._voices.embed_voices([VoiceRequest(waveform=request.waveform, spans=spans)])
            self._vectors.append(voices)


def _sound(path: Path, info: SourceInfo, sandbox: Sandbox, index: int, count: int) -> Waveform:
    end_s = (index + 1) * WINDOW_S if index + 1 < count else None
    extraction, artefacts = sandbox.parse(path, info, start_s=index * WINDOW_S, end_s=end_s)
    assert extraction.audio_artefact is not None
    return wave_decode(artefacts[extraction.audio_artefact])


def main() -> dict[str, Any]:
    """Measure, print and store."""
    store = Store(env().weights, catalog_read(REPOSITORY / "configs" / "models.toml"))
    spoken = joined(recordings()[RECORDINGS])
    beside = anchor()
    with tempfile.TemporaryDirectory(prefix="cloister-long-") as folder:
        path = Path(folder) / "long.flac"
        times = long_file(path, spoken)
        size_mib = path.stat().st_size / 2**20
        begun_s = time.perf_counter()
        reading = Reading(store)
        with Sandbox("benchmark") as sandbox:
            speakers = reading.read(path, sandbox)
        took_s = time.perf_counter() - begun_s
    windows_an_hour = round(3600 / WINDOW_S)
    hours = [
        round(statistics.median(reading.pss_mib[start : start + windows_an_hour]), 1)
        for start in range(0, HOURS * windows_an_hour, windows_an_hour)
    ]
    figure = Figure(
        name=f"memory in the worst later of {HOURS} hours of sound / in the second",
        value=round(max(hours[2:]) / hours[1], 3),
        goal=1.05,
        better="lower",
        quality={
            "pss_mib_by_hour": hours,
            "pss_mib_while_clustering": round(reading.pss_mib[-1], 1),
            "wer": round(word_error_rate(" ".join([spoken.text] * times), " ".join(reading.words)), 4),
            "speakers_found": speakers,
        },
        anchor=beside,
    )
    details = {"seconds": round(took_s, 1), "file_mib": round(size_mib, 1), "periods": times, "window_s": WINDOW_S}
    return report("long_recording", [figure], **details)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
