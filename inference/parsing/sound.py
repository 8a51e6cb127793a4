"""The sound of a media window as 16 kHz mono WAV, sample-exact at the seams."""

from __future__ import annotations

import io
import wave
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from inference.parsing.decoding import decoded, origin_s
from inference.values import SAMPLE_RATE_HZ

# Decoding begins a little before the window: lossy codecs need some packets until they are in tune.
_PRE_ROLL_S = 0.5
# Time stamps jitter by rounding; a larger step is a gap in the recording, or an overlap.
_JUMP_S = 0.05


class _Track:
    """Samples of one window, placed by their time; what never comes stays silent."""

    def __init__(self, start_s: float, end_s: float) -> None:
        self._first = round(start_s * SAMPLE_RATE_HZ)
        self.samples = np.zeros(max(0, round(end_s * SAMPLE_RATE_HZ) - self._first), dtype=np.int16)
        self.heard = False
        self._cursor: int | None = None
        self._expected_s = 0.0
        self._resampler = _resampler()

    @property
    def position_s(self) -> float | None:
        """Where the next sample would go; None before the first."""
        return None if self._cursor is None else self._cursor / SAMPLE_RATE_HZ

    def add(self, frame: Any, frame_s: float) -> None:
        if self._cursor is None or abs(frame_s - self._expected_s) > _JUMP_S:
            self.flush()
            self._cursor = round(frame_s * SAMPLE_RATE_HZ)
            self._expected_s = frame_s
        self._expected_s += frame.samples / frame.sample_rate
        frame.pts = None
        for piece in self._resampler.resample(frame):
            self._place(piece.to_ndarray().reshape(-1))

    def flush(self) -> None:
        if self._cursor is not None:
            for piece in self._resampler.resample(None):
                self._place(piece.to_ndarray().reshape(-1))
            self._resampler = _resampler()
            self._cursor = None

    def _place(self, piece: npt.NDArray[np.int16]) -> None:
        assert self._cursor is not None
        begin = self._cursor - self._first
        self._cursor += len(piece)
        low, high = max(0, begin), min(len(self.samples), begin + len(piece))
        if low < high:
            self.samples[low:high] = piece[low - begin : high - begin]
            self.heard = True


def sound_wav(container: Any, stream: Any, start_s: float, end_s: float) -> bytes | None:
    """Return the sound from ``start_s`` to ``end_s`` as a WAV file; None where the window has none.

    Sample n of the media is at n / 16,000 s, whatever the window, so windows that meet neither share nor miss one.
    """
    zero_s = origin_s(container)
    track = _Track(start_s, end_s)
    for frame in decoded(container, stream, start_s - _PRE_ROLL_S):
        frame_s = track.position_s if frame.time is None else frame.time - zero_s
        if frame_s is not None and frame_s >= end_s:
            break
        track.add(frame, frame_s or 0.0)
    track.flush()
    return _wav(track.samples) if track.heard else None


def _resampler() -> Any:
    return av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)


def _wav(samples: npt.NDArray[np.int16]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(SAMPLE_RATE_HZ)
        target.writeframes(samples.tobytes())
    return buffer.getvalue()
