"""Puts the lines of a page into reading order: columns, and inside them rows from top to bottom, left to right."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from inference.values import Box, TextLine

GUTTER_FRACTION = 0.015
"""Least empty width, as a fraction of the page, that parts two columns."""
COLUMN_LINES = 4
"""A column has at least so many lines; fewer are cells of a table or a pair of labels."""
MOST_CROSSING = 0.6
"""Part of the lines that may cross a gap between columns."""
PROSE_LETTERS = 15
"""The median line of a column of prose has at least so many letters; one of a script without spaces counts twice."""
ROW_OVERLAP = 0.5
"""Lines share a row when they overlap by this part of the lower one's height."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Line:
    index: int
    box: Box
    letters: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Span:
    start: float
    end: float


def reading_order(lines: Sequence[TextLine]) -> list[int]:
    """Return the indices of lines, whose boxes lie upright on a page, in reading order.

    Lines across several columns (titles, tables) part the page into bands; inside a band, columns are read one after
    the other. Where the two sides of a gap have rows at the same heights throughout, they are cells of a table and
    stay rows.
    """
    placed = [_Line(index, line.box, _letters(line.text)) for index, line in enumerate(lines)]
    return [line.index for line in _ordered(placed)]


def _letters(text: str) -> int:
    return sum(1 + (letter >= "\u2e80") for letter in text)


def _rows(lines: Sequence[_Line]) -> list[list[_Line]]:
    found: list[list[_Line]] = []
    for line in sorted(lines, key=lambda line: (line.box.y0 + line.box.y1, line.box.x0)):
        if found and _same_row(_row_box(found[-1]), line.box):
            found[-1].append(line)
        else:
            found.append([line])
    return [sorted(row, key=lambda line: line.box.x0) for row in found]


def _ordered(lines: list[_Line]) -> list[_Line]:
    gutter = _gutter(lines)
    if gutter is None:
        return _row_by_row(lines)
    crossing = [line for line in lines if line.box.x0 < gutter.start and line.box.x1 > gutter.end]
    if crossing:
        return [line for band in _bands(lines, crossing) for line in _ordered(band)]
    left = [line for line in lines if line.box.x1 <= gutter.start]
    right = [line for line in lines if line.box.x0 >= gutter.end]
    if _is_table(left, right):
        return _row_by_row(lines)
    return [*_ordered(left), *_ordered(right)]


def _row_by_row(lines: Sequence[_Line]) -> list[_Line]:
    return [line for row in _rows(lines) for line in row]


def _row_box(row: Sequence[_Line]) -> Box:
    # The median keeps one tall cell from swallowing the row below.
    return Box(
        x0=0.0,
        x1=1.0,
        y0=statistics.median(line.box.y0 for line in row),
        y1=statistics.median(line.box.y1 for line in row),
    )


def _same_row(a: Box, b: Box) -> bool:
    overlap = min(a.y1, b.y1) - max(a.y0, b.y0)
    return overlap > ROW_OVERLAP * min(a.y1 - a.y0, b.y1 - b.y0)


def _bands(lines: Sequence[_Line], crossing: Sequence[_Line]) -> list[list[_Line]]:
    rest = [line for line in lines if line not in crossing]
    bands: list[list[_Line]] = []
    for across in sorted(crossing, key=lambda line: line.box.y0):
        above = [line for line in rest if line.box.y0 + line.box.y1 < across.box.y0 + across.box.y1]
        rest = [line for line in rest if line not in above]
        bands.extend([above, [across]])
    return [band for band in (*bands, rest) if band]


def _gutter(lines: Sequence[_Line]) -> _Span | None:
    """Find the widest vertical gap with a column's worth of lines on both sides; titles and wide text may cross it."""
    if len(lines) < 2 * COLUMN_LINES:
        return None
    best: _Span | None = None
    for start in sorted({line.box.x1 for line in lines}):
        left = [line for line in lines if line.box.x1 <= start]
        later = sorted(line.box.x0 for line in lines if line.box.x0 >= start)
        if len(left) < COLUMN_LINES or len(later) < COLUMN_LINES:
            continue
        span = _Span(start, later[0])
        others = [line for line in lines if line.box.x0 < start < line.box.x1]
        if any(line.box.x1 <= span.end for line in others) or len(others) > MOST_CROSSING * len(lines):
            continue
        if _width(span) >= max(GUTTER_FRACTION, _width(best)):
            best = span
    return best


def _width(span: _Span | None) -> float:
    return span.end - span.start if span else 0.0


def _is_table(left: Sequence[_Line], right: Sequence[_Line]) -> bool:
    """Tell cells from columns of prose: cells are short, or their rows stand at the same heights."""
    fewer, more = sorted((left, right), key=len)
    matched = sum(any(_same_row(line.box, other.box) for other in more) for line in fewer)
    prose_width = min(_filled(left), _filled(right))
    return matched >= 0.8 * len(fewer) and prose_width < 0.6


def _filled(lines: Sequence[_Line]) -> float:
    """Return how wide the median line is beside the widest; prose comes near 1, and its lines are not short."""
    if statistics.median(line.letters for line in lines) < PROSE_LETTERS:
        return 0.0
    widths = [line.box.x1 - line.box.x0 for line in lines]
    return statistics.median(widths) / max(*widths, 1e-6)
