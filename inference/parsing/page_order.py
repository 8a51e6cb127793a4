"""Reading order on a page: columns, rows of text and paragraphs, from the rectangles of its runs alone."""

from __future__ import annotations

import dataclasses
import itertools
import re
import statistics
from collections.abc import Sequence

from inference.parsing.page_runs import Rect, Rules, Run
from inference.parsing.page_tables import Table, aligned_tables, ruled_tables

_MIN_COLUMN_ROWS = 3
_GUTTER_EM = 0.7
_CROSSING_SHARE = 0.4
_COLUMN_FILL = 0.5
_MIXED_COLUMN_ROWS = 6
_MIXED_CROSSING_SHARE = 0.1
_SHARED_BASES = 0.5
_STEPS = 160
_HEADING_RATIO = 1.15
_BULLET = re.compile(r"^([•‣◦▪●○–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")


@dataclasses.dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines that belong together, joined to one text.

    Attributes:
        text: Hyphenation at line ends undone.
        rect: Around all lines.
        size: Largest font height.
        bold: Every line is heavy.
        lines: How many lines.
        bullet: It is an item of a list.
    """

    text: str
    rect: Rect
    size: float
    bold: bool
    lines: int
    bullet: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Line:
    text: str
    rect: Rect
    size: float
    base: float
    bold: bool
    hyphen: bool


def page_items(runs: Sequence[Run], rules: Rules) -> list[Paragraph | Table]:
    """Return paragraphs and tables in reading order."""
    tables, rest = ruled_tables(runs, rules)
    return _ordered(rest, tables)


def _ordered(runs: Sequence[Run], tables: Sequence[Table]) -> list[Paragraph | Table]:
    gutter = _gutter(runs)
    if gutter is None:
        return _column_items(runs, tables)
    left = [run for run in runs if run.rect.x1 <= gutter]
    right = [run for run in runs if run.rect.x0 >= gutter]
    spanning = [run for run in runs if run.rect.x0 < gutter < run.rect.x1]
    wide = [table for table in tables if table.rect.x0 < gutter < table.rect.x1]
    left_tables = [table for table in tables if table.rect.x1 <= gutter]
    right_tables = [table for table in tables if table.rect.x0 >= gutter]
    items: list[Paragraph | Table] = []
    # What spans both columns cuts the page into bands; within a band the left column comes first.
    for low, high, across, across_tables in _bands(spanning, wide):
        left_runs, lifted = _lifted(_between(left, low, high), _between(right, low, high), has_end=bool(across_tables))
        items += _ordered(left_runs, _between_tables(left_tables, low, high))
        items += _ordered(_between(right, low, high), _between_tables(right_tables, low, high))
        items += _column_items([*lifted, *across], across_tables)
    return items


def _lifted(left: Sequence[Run], right: Sequence[Run], *, has_end: bool) -> tuple[list[Run], list[Run]]:
    """Split off a short heading below both columns: it belongs to the wide table that follows."""
    if not has_end or not left or not right:
        return list(left), []
    usual = statistics.median(run.size for run in (*left, *right))
    low = max(run.rect.y1 for run in right)
    below = [run for run in left if run.rect.y0 > low and (run.bold or run.size >= _HEADING_RATIO * usual)]
    others = [run for run in left if run not in below]
    if not 0 < len(below) <= 2 or any(run.rect.y0 > below[0].rect.y0 for run in others):
        return list(left), []
    return others, below


def _bands(spanning: Sequence[Run], wide: Sequence[Table]) -> list[tuple[float, float, list[Run], list[Table]]]:
    pieces: list[tuple[Rect, Run | Table]] = [(run.rect, run) for run in spanning]
    pieces += [(table.rect, table) for table in wide]
    pieces.sort(key=lambda pair: pair[0].y0)
    bands: list[tuple[float, float, list[Run], list[Table]]] = []
    low = float("-inf")
    for rect, piece in pieces:
        if bands and rect.y0 - low < 0.6 * rect.height and low > float("-inf"):
            # Lines of one heading stay together.
            across, across_tables = bands[-1][2], bands[-1][3]
        else:
            across, across_tables = [], []
            bands.append(
                (low, rect.y0 + 0.3 * rect.height if isinstance(piece, Run) else rect.y0, across, across_tables)
            )
        if isinstance(piece, Run):
            across.append(piece)
        else:
            across_tables.append(piece)
        low = max(low, rect.y1 - (0.3 * rect.height if isinstance(piece, Run) else 0.0))
    bands.append((low, float("inf"), [], []))
    return bands


def _between(runs: Sequence[Run], low: float, high: float) -> list[Run]:
    return [run for run in runs if low <= run.rect.middle[1] < high]


def _between_tables(tables: Sequence[Table], low: float, high: float) -> list[Table]:
    return [table for table in tables if low <= table.rect.middle[1] < high]


def _gutter(runs: Sequence[Run]) -> float | None:
    """Return where a gap between two columns of running text is, None where there is one column."""
    if len(runs) < 2 * _MIN_COLUMN_ROWS:
        return None
    x0, x1 = min(run.rect.x0 for run in runs), max(run.rect.x1 for run in runs)
    em = statistics.median(run.size for run in runs)
    step = (x1 - x0) / _STEPS
    gaps: list[tuple[int, float]] = []
    mixed: list[tuple[int, float]] = []
    for index in range(_STEPS // 8, _STEPS - _STEPS // 8):
        x = x0 + index * step
        left = [run for run in runs if run.rect.x1 <= x]
        right = [run for run in runs if run.rect.x0 >= x]
        if not _is_gap(left, right, len(runs), em):
            continue
        crossing = len(runs) - len(left) - len(right)
        if _is_prose(left) and _is_prose(right):
            gaps.append((crossing, x))
        elif crossing <= _MIXED_CROSSING_SHARE * len(runs) and _are_mixed_columns(left, right):
            mixed.append((crossing, x))
    return min(gaps or mixed, default=(0, None))[1]


def _is_gap(left: Sequence[Run], right: Sequence[Run], runs: int, em: float) -> bool:
    if min(len(left), len(right)) < _MIN_COLUMN_ROWS or runs - len(left) - len(right) > _CROSSING_SHARE * runs:
        return False
    gap = min(run.rect.x0 for run in right) - max(run.rect.x1 for run in left)
    return gap >= _GUTTER_EM * em and _beside(left, right)


def _are_mixed_columns(left: Sequence[Run], right: Sequence[Run]) -> bool:
    """Whether both sides are columns whose lines have gaps: formulas, lists of contents, terms and what they mean.

    The cells of a table share their baselines from side to side, columns of a page do so only by chance.
    """
    sides = [_rows(left), _rows(right)]
    if min(map(len, sides)) < _MIXED_COLUMN_ROWS or not all(map(_fills, sides)):
        return False
    bases = [run.base for run in right]
    shared = sum(any(abs(run.base - base) < 1.0 for run in row for base in bases) for row in sides[0])
    return shared <= _SHARED_BASES * min(map(len, sides))


def _fills(rows: Sequence[Sequence[Run]]) -> bool:
    width = max(row[-1].rect.x1 for row in rows) - min(row[0].rect.x0 for row in rows)
    filling = statistics.median(row[-1].rect.x1 - row[0].rect.x0 for row in rows)
    return (
        filling >= _COLUMN_FILL * width and statistics.median(sum(len(run.words) for run in row) for row in rows) >= 3
    )


def _is_prose(runs: Sequence[Run]) -> bool:
    """Whether lines fill their column, which the cells of a table do not."""
    width = max(run.rect.x1 for run in runs) - min(run.rect.x0 for run in runs)
    filling = statistics.median(run.rect.width for run in runs)
    return filling >= _COLUMN_FILL * width and statistics.median(len(run.words) for run in runs) >= 3


def _beside(left: Sequence[Run], right: Sequence[Run]) -> bool:
    low = max(min(run.rect.y0 for run in left), min(run.rect.y0 for run in right))
    high = min(max(run.rect.y1 for run in left), max(run.rect.y1 for run in right))
    return high - low > 2 * statistics.median(run.size for run in (*left, *right))


# ---------------------------------------------------------------- one column


def _column_items(runs: Sequence[Run], tables: Sequence[Table]) -> list[Paragraph | Table]:
    items: list[Paragraph | Table] = []
    low = float("-inf")
    for table in sorted(tables, key=lambda table: table.rect.y0):
        items += _flow(_between(runs, low, table.rect.y0))
        items.append(table)
        low = table.rect.y0
    return items + _flow(_between(runs, low, float("inf")))


def _flow(runs: Sequence[Run]) -> list[Paragraph | Table]:
    rows = _rows(runs)
    items: list[Paragraph | Table] = []
    position = 0
    for start, end, table in aligned_tables(rows):
        items += _paragraphs([_line(row) for row in rows[position:start]])
        items.append(table)
        position = end
    return items + _paragraphs([_line(row) for row in rows[position:]])


def _rows(runs: Sequence[Run]) -> list[list[Run]]:
    rows: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: run.rect.middle[1]):
        if rows and _same_row(rows[-1], run):
            rows[-1].append(run)
        else:
            rows.append([run])
    return [sorted(row, key=lambda run: run.rect.x0) for row in rows]


def _same_row(row: Sequence[Run], run: Run) -> bool:
    reference = max(row, key=lambda other: other.rect.height).rect
    overlap = min(reference.y1, run.rect.y1) - max(reference.y0, run.rect.y0)
    return overlap > 0.5 * min(reference.height, run.rect.height)


def _line(row: Sequence[Run]) -> _Line:
    rect = row[0].rect
    for run in row[1:]:
        rect = rect.union(run.rect)
    longest = max(row, key=lambda run: len(run.text))
    return _Line(
        text=" ".join(run.text for run in row),
        rect=rect,
        size=longest.size,
        base=longest.base,
        bold=all(run.bold for run in row),
        hyphen=row[-1].hyphen,
    )


def _paragraphs(lines: Sequence[_Line]) -> list[Paragraph | Table]:
    if not lines:
        return []
    leading = _leading(lines)
    right = max(line.rect.x1 for line in lines)
    groups: list[list[_Line]] = [[lines[0]]]
    for before, line in itertools.pairwise(lines):
        if _continues(groups[-1], before, line, leading, right):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [_paragraph(group) for group in groups]


def _leading(lines: Sequence[_Line]) -> float:
    steps = [after.base - before.base for before, after in itertools.pairwise(lines)]
    close = [step for step, line in zip(steps, lines, strict=False) if 0 < step < 2.2 * line.size]
    return statistics.median(close) if close else lines[0].size * 1.2


def _continues(group: Sequence[_Line], before: _Line, line: _Line, leading: float, right: float) -> bool:
    if before.hyphen:
        return True
    if line.bold != before.bold or not 0.88 < line.size / max(before.size, 0.1) < 1.14 or _BULLET.match(line.text):
        return False
    step = line.base - before.base
    if step > max(1.25 * leading, 1.25 * before.size):
        return False
    indented = line.rect.x0 > before.rect.x0 + 0.8 * line.size and not _BULLET.match(group[0].text)
    if indented and len(group) > 1 and before.rect.x0 <= group[-1].rect.x0:
        return False
    # A sentence that ends well before the margin ends its paragraph.
    short = before.rect.x1 < right - 0.2 * (right - before.rect.x0)
    return not (short and before.text.rstrip("\"'”’)").endswith((".", "!", "?", ":")))


def _paragraph(group: Sequence[_Line]) -> Paragraph:
    text = group[0].text
    rect = group[0].rect
    for before, line in itertools.pairwise(group):
        text = _hyphenation_undone(text, line.text, soft=before.hyphen)
        rect = rect.union(line.rect)
    return Paragraph(
        text=text,
        rect=rect,
        size=max(line.size for line in group),
        bold=all(line.bold for line in group),
        lines=len(group),
        bullet=_BULLET.match(text) is not None,
    )


def _hyphenation_undone(text: str, following: str, *, soft: bool) -> str:
    if soft:
        return text.removesuffix("-") + following
    if len(text) > 2 and text.endswith("-") and text[-2].isalpha() and following[:1].islower():
        return text[:-1] + following
    return f"{text} {following}"
