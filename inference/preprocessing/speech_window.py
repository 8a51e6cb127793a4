"""Packs the voiced stretches of a waveform into windows of at most 30 s and maps times back."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from inference.values import SAMPLE_RATE_HZ, Waveform

WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ


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
