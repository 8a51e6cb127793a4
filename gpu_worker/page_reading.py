"""OCR lines and layout regions of one picture into text blocks: paragraphs, headings and table rows. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from inference.values import Anchor, Box, LayoutRegion, PageReading, TextBlock, TextLine

CONFIDENCE_MIN = 0.5
GAP_LINES = 0.9
"""White space between two lines, in line heights, above which a new paragraph begins."""

COLUMN_TOLERANCE = 0.03
CELL_MAX_WIDTH = 0.3
"""Mean width of a table's cells at most; wider ones are columns of running text."""

TABLE_ROWS_MIN = 3


@dataclasses.dataclass(frozen=True, slots=True)
class _Group:
    lines: list[TextLine]
    label: str


def blocks_of(reading: PageReading, regions: Sequence[LayoutRegion], anchor: Anchor) -> list[TextBlock]:
    """Group the lines of a page or picture.

    Args:
        reading: Lines in reading order.
        regions: Layout of the same picture; empty when unknown.
        anchor: Where the picture stands; a page's blocks get boxes on it, those of a frame its second.

    Returns:
        Blocks in reading order; rows of a table are joined by `` | ``, one row a line.
    """
    lines = [line for line in reading.lines if line.confidence >= CONFIDENCE_MIN and line.text.strip()]
    blocks: list[TextBlock] = []
    heading: tuple[str, ...] = ()
    for group in _groups(lines, regions):
        for text, box, role in _group_texts(group):
            if role == "heading":
                heading = (text,)
            blocks.append(
                TextBlock(
                    text=text,
                    anchor=_anchor(anchor, box),
                    role="heading" if role == "heading" else "table" if role == "table" else "paragraph",
                    heading_path=() if role == "heading" else heading,
                )
            )
    return blocks


def _anchor(anchor: Anchor, box: Box) -> Anchor:
    if anchor.family != "page":
        return anchor
    outer = anchor.box or Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
    width, height = outer.x1 - outer.x0, outer.y1 - outer.y0
    inner = Box(
        x0=outer.x0 + box.x0 * width,
        y0=outer.y0 + box.y0 * height,
        x1=outer.x0 + box.x1 * width,
        y1=outer.y0 + box.y1 * height,
    )
    return dataclasses.replace(anchor, box=inner)


def _groups(lines: Sequence[TextLine], regions: Sequence[LayoutRegion]) -> list[_Group]:
    """Put lines into their regions; a region stands where its first line stood, lines of no region stay in order."""
    groups: list[_Group] = []
    by_region: dict[int, _Group] = {}
    loose: _Group | None = None
    for line in lines:
        index = _region_of(line, regions)
        if index is None:
            if loose is None:
                loose = _Group([], "text")
                groups.append(loose)
            loose.lines.append(line)
            continue
        if index not in by_region:
            by_region[index] = _Group([], regions[index].label)
            groups.append(by_region[index])
            loose = None
        by_region[index].lines.append(line)
    return groups


def _region_of(line: TextLine, regions: Sequence[LayoutRegion]) -> int | None:
    x, y = (line.box.x0 + line.box.x1) / 2, (line.box.y0 + line.box.y1) / 2
    inside = [
        index
        for index, region in enumerate(regions)
        if region.box.x0 <= x <= region.box.x1 and region.box.y0 <= y <= region.box.y1
    ]
    # A title inside a text region is the title: the smallest region says most.
    return min(inside, key=lambda index: _area(regions[index].box), default=None)


def _area(box: Box) -> float:
    return (box.x1 - box.x0) * (box.y1 - box.y0)


def _group_texts(group: _Group) -> list[tuple[str, Box, str]]:
    if group.label == "title":
        return [(" ".join(line.text.strip() for line in group.lines), _hull(group.lines), "heading")]
    rows = _rows(group.lines)
    if group.label == "table" or _looks_like_table(rows):
        text = "\n".join(" | ".join(cell.text.strip() for cell in row) for row in rows)
        return [(text, _hull(group.lines), "table")]
    return [
        ("\n".join(line.text.strip() for line in paragraph), _hull(paragraph), "paragraph")
        for paragraph in _paragraphs(group.lines)
    ]


def _rows(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda one: (one.box.y0 + one.box.y1, one.box.x0)):
        middle = (line.box.y0 + line.box.y1) / 2
        if rows and rows[-1][0].box.y0 <= middle <= rows[-1][0].box.y1:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda one: one.box.x0) for row in rows]


def _looks_like_table(rows: Sequence[Sequence[TextLine]]) -> bool:
    wide = [row for row in rows if len(row) >= 2]
    if len(wide) < TABLE_ROWS_MIN or len(wide) < 0.7 * len(rows):
        return False
    cells = [cell for row in wide for cell in row]
    if sum(cell.box.x1 - cell.box.x0 for cell in cells) / len(cells) > CELL_MAX_WIDTH:
        return False
    columns = [_edges(row) for row in wide]
    aligned = sum(
        any(
            abs(mine - other) <= COLUMN_TOLERANCE
            for mine, other in zip(columns[index][1], columns[index - 1][1], strict=True)
        )
        for index in range(1, len(columns))
    )
    return aligned >= 0.6 * (len(columns) - 1)


def _edges(row: Sequence[TextLine]) -> tuple[float, tuple[float, float, float]]:
    # The second cell tells whether columns align: by its left edge, its middle or its right edge (numbers).
    cell = row[1].box
    return row[0].box.x0, (cell.x0, (cell.x0 + cell.x1) / 2, cell.x1)


def _paragraphs(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    paragraphs: list[list[TextLine]] = []
    for line in lines:
        if paragraphs and _continues(paragraphs[-1][-1], line):
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
    return paragraphs


def _continues(last: TextLine, line: TextLine) -> bool:
    height = last.box.y1 - last.box.y0
    gap = line.box.y0 - last.box.y1
    shared = min(last.box.x1, line.box.x1) - max(last.box.x0, line.box.x0)
    same_row = abs(line.box.y0 - last.box.y0) < height / 2
    similar = 0.6 < (line.box.y1 - line.box.y0) / max(height, 1e-6) < 1.7
    return same_row or (-height < gap < GAP_LINES * height and shared > 0 and similar)


def _hull(lines: Sequence[TextLine]) -> Box:
    return Box(
        x0=min(line.box.x0 for line in lines),
        y0=min(line.box.y0 for line in lines),
        x1=max(line.box.x1 for line in lines),
        y1=max(line.box.y1 for line in lines),
    )
