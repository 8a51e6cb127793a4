"""Packs the voiced stretches of a waveform into windows of at most 30 s, maps times back, finds pauses to cut at."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from inference.values import SAMPLE_RATE_HZ, Waveform

WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ
SHORTEST_PAUSE_SAMPLES = SAMPLE_RATE_HZ // 10


@dataclasses.dataclass(frozen=True, slots=True)
class SpeechWindow:
    """Voiced stretches put end to end.

    Attributes:
        sound: At most 30 s.
        stretches: (first, end) samples of each stretch in the waveform that it was taken from.
    """

    sound: Waveform
    stretches: tuple[tuple[int, int], ...]

    def original_span(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Map a span of the window to the waveform; both ends follow the stretch that holds the middle."""
        lengths = [end - first for first, end in self.stretches]
        ends = list(np.cumsum(lengths))
        middle = int((start_s + end_s) / 2 * SAMPLE_RATE_HZ)
        index = min(bisect.bisect_right(ends, middle), len(ends) - 1)
        first, end = self.stretches[index]
        shift = first - (ends[index] - lengths[index])
        inside = [min(max(time_s * SAMPLE_RATE_HZ + shift, first), end) / SAMPLE_RATE_HZ for time_s in (start_s, end_s)]
        return inside[0], inside[1]


def pause_cut(sound: Waveform, stretches: Iterable[tuple[int, int]]) -> int:
    """Return the sample at which to cut a recording: the middle of the longest pause, else the quietest place.

    Args:
        sound: What two windows of the recording share.
        stretches: (first, end) samples of its voiced stretches, in order.
    """
    voiced = list(stretches)
    edges = [0, *(edge for stretch in voiced for edge in stretch), len(sound)]
    pauses = list(zip(edges[::2], edges[1::2], strict=True))
    first, end = max(pauses, key=lambda pause: pause[1] - pause[0])
    if end - first >= SHORTEST_PAUSE_SAMPLES:
        return (first + end) // 2
    frames = len(sound) // SHORTEST_PAUSE_SAMPLES
    if not frames:
        return len(sound) // 2
    loudness = np.square(sound[: frames * SHORTEST_PAUSE_SAMPLES].reshape(frames, -1)).mean(axis=1)
    return int(loudness.argmin()) * SHORTEST_PAUSE_SAMPLES + SHORTEST_PAUSE_SAMPLES // 2


def clipped(stretches: Iterable[tuple[int, int]], first: int, end: int) -> list[tuple[int, int]]:
    """Return what of the stretches lies from ``first`` to ``end``."""
    inside = ((max(begin, first), min(stop, end)) for begin, stop in stretches)
    return [(begin, stop) for begin, stop in inside if begin < stop]


def speech_windows(waveform: Waveform, stretches: Iterable[tuple[int, int]]) -> list[SpeechWindow]:
    """Pack stretches in order; one that is longer than a window is cut."""
    windows: list[list[tuple[int, int]]] = []
    used = WINDOW_SAMPLES
    for first, end in _cut(stretches):
        if used + end - first > WINDOW_SAMPLES:
            windows.append([])
            used = 0
        windows[-1].append((first, end))
        used += end - first
    return [_window(waveform, stretches) for stretches in windows]


def _cut(stretches: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for first, end in stretches:
        for start in range(first, end, WINDOW_SAMPLES):
            yield start, min(start + WINDOW_SAMPLES, end)


def _window(waveform: Waveform, stretches: Sequence[tuple[int, int]]) -> SpeechWindow:
    sound = np.concatenate([waveform[first:end] for first, end in stretches])
    return SpeechWindow(sound, tuple(stretches))
