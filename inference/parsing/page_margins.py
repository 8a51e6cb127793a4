"""Page numbers and running titles: what stands in the margin of page after page and belongs to no text."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Mapping, Sequence

from inference.parsing.page_runs import Run

MARGIN_SHARE = 0.12
NEIGHBOURS = 4
"""So many pages before and after are compared: the titles of left and right pages take turns."""

_REPEATS_MIN = 2
_SAME_HEIGHT = 0.012
_GAP_LINES = 0.5
_LARGEST = 1.15
_ROWS_DEEP = 3
_NUMBER = re.compile(r"^\W*(?:\d{1,4}|[ivxlc]{1,7}|[A-Z]?[-.]?\d{1,3})\W*$")
_COUNTED = re.compile(r"^(\d{1,4})\b|\b(\d{1,4})$")
_DIGITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True, slots=True)
class MarginRow:
    """A row in a page's margin.

    Attributes:
        text: Its digits replaced.
        y: Its place from 0 (top of the page) to 1.
        number: What it begins or ends with.
    """

    text: str
    y: float
    number: int | None

    def repeats(self, other: MarginRow, pages_between: int) -> bool:
        """Whether it stands on another page again, or counts the pages there too."""
        if abs(self.y - other.y) > _SAME_HEIGHT:
            return False
        counts = self.number is not None and other.number == self.number + pages_between
        return counts or self.text == other.text


def margin_rows(runs: Sequence[Run], height: float) -> tuple[MarginRow, ...]:
    """Return the rows in the top and bottom margin that stand apart from the text."""
    return tuple(_told(row, height) for row in _margin(runs, height))


def without_margins(runs: Sequence[Run], height: float, neighbours: Mapping[int, Sequence[MarginRow]]) -> list[Run]:
    """Leave out page numbers, and rows that at least two neighbouring pages repeat.

    Args:
        runs: Of the page.
        height: Of the page in points.
        neighbours: The margins of other pages by their distance in pages, negative for those before.
    """
    dropped: set[int] = set()
    for row in _margin(runs, height):
        told = _told(row, height)
        repeats = sum(any(told.repeats(other, away) for other in rows) for away, rows in neighbours.items())
        if repeats >= _REPEATS_MIN or _NUMBER.match(_text(row)):
            dropped.update(id(run) for run in row)
    return [run for run in runs if id(run) not in dropped]


def _margin(runs: Sequence[Run], height: float) -> list[list[Run]]:
    rows = _rows(runs)
    if not rows:
        return []
    usual = statistics.median(run.size for run in runs)
    top = [row for row in rows if row[0].rect.middle[1] <= MARGIN_SHARE * height]
    bottom = [row for row in rows[::-1] if row[0].rect.middle[1] >= (1 - MARGIN_SHARE) * height]
    return _outer(top, rows, usual) + _outer(bottom, rows[::-1], usual)


def _outer(margin: Sequence[list[Run]], order: Sequence[list[Run]], usual: float) -> list[list[Run]]:
    outer = [row for row in margin[:_ROWS_DEEP] if all(run.size <= _LARGEST * usual for run in row)]
    # What stands as close to the text as its lines to each other is its first or last line.
    while outer and len(outer) < len(order) and _distance(outer[-1], order[len(outer)]) < _GAP_LINES * usual:
        outer.pop()
    return outer


def _rows(runs: Sequence[Run]) -> list[list[Run]]:
    rows: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: run.rect.middle[1]):
        if rows and abs(rows[-1][0].rect.middle[1] - run.rect.middle[1]) < 0.5 * run.rect.height:
            rows[-1].append(run)
        else:
            rows.append([run])
    return [sorted(row, key=lambda run: run.rect.x0) for row in rows]


def _distance(row: Sequence[Run], other: Sequence[Run]) -> float:
    first, second = (row, other) if row[0].rect.y0 < other[0].rect.y0 else (other, row)
    return min(run.rect.y0 for run in second) - max(run.rect.y1 for run in first)


def _told(row: Sequence[Run], height: float) -> MarginRow:
    text = _text(row)
    number = _COUNTED.search(text)
    return MarginRow(
        text=_DIGITS.sub("#", text),
        y=row[0].rect.middle[1] / height,
        number=int(number.group(1) or number.group(2)) if number else None,
    )


def _text(row: Sequence[Run]) -> str:
    return " ".join(run.text for run in row)
