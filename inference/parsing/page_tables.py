"""Tables on a page: cells between ruling lines, and rows of short texts that stand in columns."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from inference.parsing.page_runs import Rect, Rules, Run, Word

_NEAR_PT = 3.0
_CELL_CHARS = 24
_FILLED = 0.6


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; a cell without text is the empty string."""

    rows: tuple[tuple[str, ...], ...]
    rect: Rect

    @property
    def text(self) -> str:
        """One row per line, cells joined by `` | ``."""
        return "\n".join(" | ".join(row) for row in self.rows)


def ruled_tables(runs: Sequence[Run], rules: Rules) -> tuple[list[Table], list[Run]]:
    """Return the tables that have a drawn grid, and the runs outside them."""
    tables: list[Table] = []
    rest = list(runs)
    for region in _grids(rules):
        xs = _distinct([x for x, y0, y1 in rules.down if _within(region, x, (y0 + y1) / 2)])
        ys = _distinct([y for y, x0, x1 in rules.across if _within(region, (x0 + x1) / 2, y)])
        inside = [run for run in rest if region.holds(run.rect.middle, _NEAR_PT)]
        if len(xs) < 3 or len(ys) < 3 or not inside:
            continue
        table = _table(_cells(inside, xs, ys), region)
        if table is not None:
            tables.append(table)
            rest = [run for run in rest if run not in inside]
    return tables, rest


def aligned_tables(rows: Sequence[Sequence[Run]]) -> list[tuple[int, int, Table]]:
    """Find tables without a grid among the text rows of one column.

    Args:
        rows: Runs of one baseline each, left to right, from top to bottom.

    Returns:
        (first row, row after the last, table), from top to bottom.
    """
    found: list[tuple[int, int, Table]] = []
    start = 0
    while start < len(rows):
        end = _stretch(rows, start)
        table = _aligned(rows[start:end]) if end - start >= 3 else None
        if table is not None:
            found.append((start, end, table))
        start = max(end, start + 1)
    return found


def _stretch(rows: Sequence[Sequence[Run]], start: int) -> int:
    """Return where the rows of at least two runs that follow each other closely end."""
    end = start
    while end < len(rows) and len(rows[end]) >= 2:
        if end > start:
            gap = rows[end][0].rect.y0 - max(run.rect.y1 for run in rows[end - 1])
            if gap > 2.0 * rows[end][0].size:
                break
        end += 1
    return end


def _aligned(rows: Sequence[Sequence[Run]]) -> Table | None:
    columns = _columns([run.rect for row in rows for run in row])
    if len(columns) < 2:
        return None
    cells = [[_joined([run for run in row if _column(columns, run.rect) == index]) for index in range(len(columns))]
             for row in rows]  # fmt: skip
    filled = [cell for row in cells for cell in row if cell]
    numbers = sum(any(char.isdigit() for char in cell) for cell in filled) / len(filled)
    short = statistics.median(len(cell) for cell in filled) <= (_CELL_CHARS if numbers < 0.3 else 2 * _CELL_CHARS)
    if not short or len(filled) < _FILLED * len(columns) * len(rows):
        return None
    rect = rows[0][0].rect
    for row in rows:
        for run in row:
            rect = rect.union(run.rect)
    return Table(tuple(tuple(row) for row in cells), rect)


def _columns(rects: Sequence[Rect]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for rect in sorted(rects, key=lambda rect: rect.x0):
        if merged and rect.x0 < merged[-1][1] + 2.0:
            merged[-1] = (merged[-1][0], max(merged[-1][1], rect.x1))
        else:
            merged.append((rect.x0, rect.x1))
    return merged


def _column(columns: Sequence[tuple[float, float]], rect: Rect) -> int:
    x = rect.middle[0]
    return next(index for index, (x0, x1) in enumerate(columns) if x0 <= x <= x1)


def _grids(rules: Rules) -> list[Rect]:
    """Group lines that touch into regions with lines both across and down."""
    lines = [(Rect(x0, y, x1, y), True) for y, x0, x1 in rules.across]
    lines += [(Rect(x, y0, x, y1), False) for x, y0, y1 in rules.down]
    groups: list[tuple[Rect, int, int]] = []
    for rect, is_across in lines:
        region, across, down = rect, int(is_across), int(not is_across)
        apart: list[tuple[Rect, int, int]] = []
        for other in groups:
            if _touch(region, other[0]):
                region, across, down = region.union(other[0]), across + other[1], down + other[2]
            else:
                apart.append(other)
        groups = [*apart, (region, across, down)]
    return sorted((region for region, across, down in groups if across >= 3 and down >= 3), key=lambda rect: rect.y0)


def _touch(first: Rect, second: Rect) -> bool:
    return (
        first.x0 - _NEAR_PT <= second.x1
        and second.x0 - _NEAR_PT <= first.x1
        and first.y0 - _NEAR_PT <= second.y1
        and second.y0 - _NEAR_PT <= first.y1
    )


def _within(region: Rect, x: float, y: float) -> bool:
    return region.holds((x, y), _NEAR_PT)


def _distinct(values: Sequence[float]) -> list[float]:
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > _NEAR_PT:
            found.append(value)
    return found


def _cells(inside: Sequence[Run], xs: Sequence[float], ys: Sequence[float]) -> list[list[list[Word]]]:
    cells: list[list[list[Word]]] = [[[] for _ in xs[1:]] for _ in ys[1:]]
    for run in inside:
        for word in run.words:
            x, y = word.rect.middle
            cells[_slot(ys, y)][_slot(xs, x)].append(word)
    return cells


def _slot(edges: Sequence[float], value: float) -> int:
    passed = sum(value >= edge for edge in edges)
    return min(max(passed - 1, 0), len(edges) - 2)


def _table(cells: list[list[list[Word]]], region: Rect) -> Table | None:
    rows = [tuple(_words_joined(words) for words in row) for row in cells]
    kept = [row for row in rows if any(row)]
    columns = [index for index in range(len(rows[0])) if any(row[index] for row in kept)]
    if len(kept) < 2 or len(columns) < 2:
        return None
    return Table(tuple(tuple(row[index] for index in columns) for row in kept), region)


def _words_joined(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _joined(runs: Sequence[Run]) -> str:
    return " ".join(run.text for run in runs)
