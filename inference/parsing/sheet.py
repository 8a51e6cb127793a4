"""Rows of a sheet to blocks: tables are found between empty rows, titled, and split with their header repeated.

A table block has either as many lines as its cell range has rows, or one more: then its first line is the repeated
header, which stands outside the range.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

from openpyxl.utils import get_column_letter

from inference.parsing.blocks import SHEET_ROWS, flat, table_text
from inference.values import Anchor, TextBlock

_NUMBER = re.compile(r"^[^A-Za-z]*\d[^A-Za-z]*$")


@dataclasses.dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of a sheet: its 1-based number and the cells from column A on, as people see them."""

    number: int
    cells: Sequence[str]


def cell_range(first_row: int, last_row: int, first_column: int, last_column: int) -> str:
    """Return a range such as ``A1:D7`` of 1-based rows and columns."""
    return f"{get_column_letter(first_column)}{first_row}:{get_column_letter(last_column)}{last_row}"


def sheet_blocks(sheet: str, rows: Iterable[SheetRow], heading_path: tuple[str, ...]) -> Iterator[TextBlock]:
    """Turn a sheet's rows into blocks in order; empty rows separate tables."""
    header: SheetRow | None = None
    for region in _regions(rows):
        path = heading_path
        titles, table = _titled(region)
        for row in titles:
            title = flat(" ".join(row.cells))
            yield TextBlock(
                text=title,
                anchor=_anchor(sheet, [row]),
                role="heading" if table else "paragraph",
                heading_path=path,
            )
        if not table:
            continue
        if titles:
            path = (*heading_path, flat(" ".join(titles[0].cells)))
        if header is None or titles or _names_columns(table[0]):
            header = table[0]
        yield from _table_blocks(sheet, header, table, path)


def _regions(rows: Iterable[SheetRow]) -> Iterator[list[SheetRow]]:
    region: list[SheetRow] = []
    for row in rows:
        if any(cell.strip() for cell in row.cells):
            region.append(row)
        elif region:
            yield region
            region = []
    if region:
        yield region


def _titled(region: list[SheetRow]) -> tuple[list[SheetRow], list[SheetRow]]:
    # A single cell above rows of several cells is a title, not a table row.
    if all(_filled(row) < 2 for row in region):
        return ([], region) if len(region) > 1 else (region, [])
    first = next(index for index, row in enumerate(region) if _filled(row) >= 2)
    return region[:first], region[first:]


def _filled(row: SheetRow) -> int:
    return sum(bool(cell.strip()) for cell in row.cells)


def _names_columns(row: SheetRow) -> bool:
    return not any(_NUMBER.match(cell.strip()) for cell in row.cells)


def _table_blocks(
    sheet: str, header: SheetRow, table: list[SheetRow], heading_path: tuple[str, ...]
) -> Iterator[TextBlock]:
    first, last = _columns([header, *table])
    for start in range(0, len(table), SHEET_ROWS):
        rows = table[start : start + SHEET_ROWS]
        shown = rows if rows[0] is header else [header, *rows]
        yield TextBlock(
            text=table_text(_cut(row, first, last) for row in shown),
            anchor=_anchor(sheet, rows, first, last),
            role="table",
            heading_path=heading_path,
        )


def _columns(rows: Sequence[SheetRow]) -> tuple[int, int]:
    filled = [column for row in rows for column, cell in enumerate(row.cells, 1) if cell.strip()]
    return min(filled), max(filled)


def _cut(row: SheetRow, first: int, last: int) -> list[str]:
    return [row.cells[column - 1] if column <= len(row.cells) else "" for column in range(first, last + 1)]


def _anchor(sheet: str, rows: Sequence[SheetRow], first: int | None = None, last: int | None = None) -> Anchor:
    if first is None or last is None:
        first, last = _columns(rows)
    return Anchor(sheet=sheet, cells=cell_range(rows[0].number, rows[-1].number, first, last))
