"""Classical measurements of a picture's pixels: colours, brightness, paper, bars of a chart."""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from inference.values import RgbImage

_MEASURED_SIDE_PX = 640
_LEVEL_BITS = 4
_COUNTED_SHARE = 0.001
_COLOUR_DISTANCE = 28
_BAR_AREA_SHARE = 0.0004
_BAR_FILL = 0.88
_ALIGNED_SHARE = 0.012
_BREADTH_TOLERANCE = 0.12
_PITCH_TOLERANCE = 0.15
_FREE_END_PX = 3
_AXIS_PX = 6
_LEAST_BARS = 3
_MOST_COLOURS = 16
_COLOURED_CHROMA = 40

_HUES = (
    (15.0, "red"),
    (45.0, "orange"),
    (70.0, "yellow"),
    (165.0, "green"),
    (200.0, "turquoise"),
    (260.0, "blue"),
    (295.0, "purple"),
    (340.0, "pink"),
    (360.0, "red"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureMeasure:
    """What the pixels alone say.

    Attributes:
        brightness: Mean luma, 0 (black) to 1 (white).
        chroma: Mean difference between a pixel's strongest and weakest channel, 0 to 1.
        coloured_share: Share of pixels that nobody would call black, white or grey.
        colours: (name, share of the picture), largest first.
        distinct_colours: Colours, at 16 levels a channel, that each cover at least a thousandth.
        ground_share: Share of the most common colour.
        ground_light: Whether that colour is as light as paper.
        flat_share: Share of neighbouring pixels that hardly differ.
    """

    brightness: float
    chroma: float
    coloured_share: float
    colours: tuple[tuple[str, float], ...]
    distinct_colours: int
    ground_share: float
    ground_light: bool
    flat_share: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars that share a base line, have one breadth and differ in length."""

    count: int
    direction: Literal["vertical", "horizontal"]


def picture_measure(image: RgbImage) -> PictureMeasure:
    """Measure a picture at a reduced size, so that its resolution and encoding hardly matter."""
    pixels = _reduced(image)
    values = pixels.astype(np.int16)
    luma = values @ np.array([0.299, 0.587, 0.114])
    levels, counts = _levels(pixels)
    shares = counts / counts.sum()
    ground = _level_colour(levels[0])
    steps = np.abs(np.diff(values, axis=1)).max(axis=2)
    chroma = values.max(axis=2) - values.min(axis=2)
    return PictureMeasure(
        brightness=float(luma.mean() / 255),
        chroma=float(chroma.mean() / 255),
        coloured_share=float((chroma > _COLOURED_CHROMA).mean()),
        colours=_named_shares(levels, shares),
        distinct_colours=int((shares >= _COUNTED_SHARE).sum()),
        ground_share=float((_distance(values, ground) <= _COLOUR_DISTANCE).mean()),
        ground_light=bool(ground.min() >= 200),
        flat_share=float((steps <= 3).mean()) if steps.size else 1.0,
    )


def bars_find(image: RgbImage) -> Bars | None:
    """Find the bars of a plain bar chart, or None where there is no clear set of them.

    A set is at least three solid rectangles on one ground that start at one line, are equally broad, stand at equal
    distances, end in the ground and are not all equally long. Grouped and stacked bars are left alone: their number
    was too often wrong.
    """
    pixels = _reduced(image)
    values = pixels.astype(np.int16)
    ground = _distance(values, _level_colour(_levels(pixels)[0][0])) <= _COLOUR_DISTANCE
    boxes = _solid_boxes(pixels, ground)
    height_px, width_px = ground.shape
    upright = [_Bar(base=y1, start=x0, stop=x1, end=y0) for y0, x0, y1, x1 in boxes]
    lying = [_Bar(base=x0, start=y0, stop=y1, end=x1) for y0, x0, y1, x1 in boxes]
    vertical = _aligned([bar for bar in upright if _ends_free(bar, ground)], height_px * _ALIGNED_SHARE)
    horizontal = _aligned([bar for bar in lying if _ends_free(bar, ground.T)], width_px * _ALIGNED_SHARE)
    if max(vertical, horizontal) < _LEAST_BARS or vertical == horizontal:
        return None
    return Bars(count=max(vertical, horizontal), direction="vertical" if vertical > horizontal else "horizontal")


def colour_name(red: int, green: int, blue: int) -> str:
    """Return a plain English name of a colour."""
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.2:
        return "black"
    if saturation < 0.14 or (saturation < 0.25 and value < 0.35):
        return "white" if value > 0.88 else "grey"
    name = next(name for limit, name in _HUES if hue * 360 <= limit)
    if name in ("orange", "red") and value < 0.62 and saturation < 0.85:
        return "brown"
    return name


def _reduced(image: RgbImage) -> RgbImage:
    picture = Image.fromarray(image)
    picture.thumbnail((_MEASURED_SIDE_PX, _MEASURED_SIDE_PX), Image.Resampling.BOX)
    return np.asarray(picture)


def _levels(pixels: RgbImage) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    reduced = (pixels >> (8 - _LEVEL_BITS)).astype(np.int64)
    codes = (reduced[..., 0] << 2 * _LEVEL_BITS) | (reduced[..., 1] << _LEVEL_BITS) | reduced[..., 2]
    counts = np.bincount(codes.ravel())
    order = np.argsort(counts)[::-1]
    order = order[counts[order] > 0]
    return order, counts[order]


def _level_colour(code: Any) -> npt.NDArray[np.int16]:
    mask = (1 << _LEVEL_BITS) - 1
    parts = [(int(code) >> shift) & mask for shift in (2 * _LEVEL_BITS, _LEVEL_BITS, 0)]
    return np.array([part * 255 // mask for part in parts], dtype=np.int16)


def _distance(values: npt.NDArray[np.int16], colour: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    distances: npt.NDArray[np.int16] = np.abs(values - colour).max(axis=2)
    return distances


def _named_shares(levels: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    totals: dict[str, float] = {}
    for code, share in zip(levels, shares, strict=True):
        red, green, blue = (int(part) for part in _level_colour(code))
        name = colour_name(red, green, blue)
        totals[name] = totals.get(name, 0.0) + float(share)
    return tuple(sorted(totals.items(), key=lambda item: -item[1]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    base: int
    start: int
    stop: int
    end: int

    @property
    def breadth(self) -> int:
        return self.stop - self.start

    @property
    def length(self) -> int:
        return abs(self.base - self.end)


def _solid_boxes(pixels: RgbImage, ground: npt.NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    values = pixels.astype(np.int16)
    levels, counts = _levels(pixels)
    least_px = max(30, int(_BAR_AREA_SHARE * counts.sum()))
    boxes: list[tuple[int, int, int, int]] = []
    taken = ground.copy()
    for code in levels[counts >= least_px][:_MOST_COLOURS]:
        mask = (_distance(values, _level_colour(code)) <= _COLOUR_DISTANCE) & ~taken
        taken |= mask
        labels, _ = ndimage.label(mask)
        areas = np.bincount(labels.ravel())
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            box_px = (rows.stop - rows.start) * (columns.stop - columns.start)
            if areas[number] >= least_px and areas[number] >= _BAR_FILL * box_px:
                boxes.append((rows.start, columns.start, rows.stop, columns.stop))
    return boxes


def _ends_free(bar: _Bar, ground: npt.NDArray[np.bool_]) -> bool:
    # An upright bar ends above its base, a lying one right of it; ground is transposed for the latter.
    step = -_FREE_END_PX - 1 if bar.end < bar.base else _FREE_END_PX
    if not _is_ground(ground, bar.end + step, bar):
        return False
    # Below the base lies the axis line, then ground; a piece of a stack stands on another piece.
    base_line = bar.base + (_AXIS_PX if step < 0 else -_AXIS_PX)
    return not 0 <= base_line < len(ground) or _is_ground(ground, base_line, bar)


def _is_ground(ground: npt.NDArray[np.bool_], line: int, bar: _Bar) -> bool:
    return 0 <= line < len(ground) and bool(ground[line, bar.start : bar.stop].mean() >= 0.5)


def _aligned(bars: Sequence[_Bar], tolerance_px: float) -> int:
    best = 0
    for bar in bars:
        tolerated_px = max(1.5, _BREADTH_TOLERANCE * bar.breadth)
        same = [
            other
            for other in bars
            if abs(other.base - bar.base) <= tolerance_px and abs(other.breadth - bar.breadth) <= tolerated_px
        ]
        lengths = [other.length for other in same]
        if len(same) > best and _evenly_spaced(same) and max(lengths) > 1.15 * min(lengths):
            best = len(same)
    return best


def _evenly_spaced(bars: Sequence[_Bar]) -> bool:
    # A bar that was missed leaves a gap: then the number is not known.
    starts = sorted(bar.start for bar in bars)
    steps = np.diff(starts)
    if not steps.size or steps.min() < min(bar.breadth for bar in bars):
        return False
    return bool(steps.max() - steps.min() <= max(3.0, _PITCH_TOLERANCE * float(np.median(steps))))
