"""The frames of a video that show something new, found by differences of small grey frames."""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.parsing.base import Limits
from inference.parsing.decoding import decoded, origin_s
from inference.parsing.picture import png_bytes

_SAMPLE_EVERY_S = 0.5
_APART_S = 1.0
_SETTLE_WITHIN_S = 2.0
_SMALL = (96, 54)
# A cell has changed when its grey differs by this much; a scene, when this share of cells has.
_CELL_DIFFERS = 12
_SCENE_CHANGED = 0.006
_STILL = 0.004
# Where everything moves all the time, a new scene stands out from that movement.
_TIMES_MOVEMENT = 3.0
_SCENE_CHANGED_AT_MOST = 0.5
_MOVEMENT_SAMPLES = 20
_BLANK_DEVIATION = 3.0
# Beyond this many pixels a second only key frames are decoded: encoders set one at a cut.
_FULL_DECODING_PIXELS_PER_S = 1920 * 1080 * 31

_Grey = npt.NDArray[np.int16]


@dataclasses.dataclass(slots=True)
class _Sample:
    time_s: float
    grey: _Grey
    frame: Any

    @property
    def blank(self) -> bool:
        return float(self.grey.std()) < _BLANK_DEVIATION


@dataclasses.dataclass(slots=True)
class _Kept:
    time_s: float
    change: float
    png: bytes


class _Scenes:
    """Follows the samples of one window and keeps the first still one of every scene."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shown: _Grey | None = None
        self._kept_s = -math.inf
        self._pending: _Sample | None = None
        self._pending_since_s = 0.0
        self._before: _Grey | None = None
        self._movement: collections.deque[float] = collections.deque(maxlen=_MOVEMENT_SAMPLES)
        self.kept: list[_Kept] = []

    def add(self, sample: _Sample) -> None:
        if self._before is not None:
            self._movement.append(_change(self._before, sample.grey))
        self._before = sample.grey
        pending = self._pending
        if pending is None:
            self._consider(sample)
        elif _change(pending.grey, sample.grey) < _STILL:
            self._keep(pending)
        elif sample.time_s - self._pending_since_s >= _SETTLE_WITHIN_S:
            self._keep(sample)
        else:
            self._pending = sample

    def finish(self) -> None:
        if self._pending is not None:
            self._keep(self._pending)

    def _consider(self, sample: _Sample) -> None:
        if sample.blank or sample.time_s - self._kept_s < _APART_S:
            return
        if self._shown is None or _change(self._shown, sample.grey) >= self._threshold():
            self._pending, self._pending_since_s = sample, sample.time_s

    def _keep(self, sample: _Sample) -> None:
        self._pending = None
        change = 1.0 if self._shown is None else _change(self._shown, sample.grey)
        if sample.blank or change < self._threshold():
            return
        self._shown, self._kept_s = sample.grey, sample.time_s
        self.kept.append(_Kept(sample.time_s, change, _png(sample.frame, self._limits.ocr_edge_px)))
        self._thin(int(sample.time_s // 60))

    def _threshold(self) -> float:
        movement = statistics.median(self._movement) if self._movement else 0.0
        return min(_SCENE_CHANGED_AT_MOST, max(_SCENE_CHANGED, _TIMES_MOVEMENT * movement))

    def _thin(self, minute: int) -> None:
        of_minute = [kept for kept in self.kept if int(kept.time_s // 60) == minute]
        if len(of_minute) > self._limits.frames_per_minute:
            self.kept.remove(min(of_minute, key=lambda kept: kept.change))


def scene_frames(
    container: Any, stream: Any, start_s: float, end_s: float, limits: Limits
) -> list[tuple[float, bytes]]:
    """Return (second, PNG) of the first still frame and of every still frame that differs from the one before.

    At most ``limits.frames_per_minute`` a minute, those with the largest change; at least 1 s apart.
    """
    _decode_sparingly(stream)
    zero_s = origin_s(container)
    scenes = _Scenes(limits)
    next_s = math.ceil(start_s / _SAMPLE_EVERY_S) * _SAMPLE_EVERY_S
    last: tuple[float, Any] | None = None
    for frame in decoded(container, stream, start_s):
        if frame.time is None:
            continue
        time_s = frame.time - zero_s
        if time_s >= end_s:
            break
        if time_s < start_s:
            continue
        if time_s >= next_s:
            scenes.add(_sample(time_s, frame))
            next_s = (math.floor(time_s / _SAMPLE_EVERY_S) + 1) * _SAMPLE_EVERY_S
            last = None
        else:
            last = (time_s, frame)
    if last is not None:
        # Whether the last sample stood still shows in the frame that ends the window.
        scenes.add(_sample(*last))
    scenes.finish()
    return [(round(kept.time_s, 3), kept.png) for kept in scenes.kept]


def _decode_sparingly(stream: Any) -> None:
    context = stream.codec_context
    context.thread_count = 1
    rate = float(stream.average_rate or 25)
    heavy = context.width * context.height * rate > _FULL_DECODING_PIXELS_PER_S
    context.skip_frame = "NONKEY" if heavy else "NONREF"


def _sample(time_s: float, frame: Any) -> _Sample:
    small = frame.reformat(width=_SMALL[0], height=_SMALL[1], format="gray", interpolation="AREA")
    return _Sample(time_s, small.to_ndarray().astype(np.int16), frame)


def _change(before: _Grey, after: _Grey) -> float:
    return float((np.abs(before - after) > _CELL_DIFFERS).mean())


def _png(frame: Any, edge_px: int) -> bytes:
    image: Image.Image = frame.to_image()
    if max(image.size) > edge_px:
        image.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    turn = int(getattr(frame, "rotation", 0)) % 360
    return png_bytes(image.rotate(turn, expand=True) if turn else image)
