"""OpenDocument text, sheets and slides, read from their XML; cells are read as they are shown."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from inference.errors import EmptyInput, EncryptedFile, LimitExceeded
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.blocks import Assembly, Role, clean, flat, spoken_alternative, table_text
from inference.parsing.embedded_picture import PictureShelf
from inference.parsing.office_pptx import fraction_box
from inference.parsing.package import joined, member_bytes, member_bytes_or_none, open_package, xml_root
from inference.parsing.registry import source_info
from inference.parsing.sheet import SheetRow, cell_range, sheet_blocks
from inference.values import Anchor, Box, Extraction, Picture, SourceInfo, TextBlock

_NS: Final = "urn:oasis:names:tc:opendocument:xmlns:"
_OFFICE: Final = f"{{{_NS}office:1.0}}"
_TEXT: Final = f"{{{_NS}text:1.0}}"
_TABLE: Final = f"{{{_NS}table:1.0}}"
_DRAW: Final = f"{{{_NS}drawing:1.0}}"
_STYLE: Final = f"{{{_NS}style:1.0}}"
_FO: Final = f"{{{_NS}xsl-fo-compatible:1.0}}"
_SVG: Final = f"{{{_NS}svg-compatible:1.0}}"
_PRESENTATION: Final = f"{{{_NS}presentation:1.0}}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_DC_TITLE: Final = "{http://purl.org/dc/elements/1.1/}title"
_UNTOLD: Final = frozenset({
    f"{_TEXT}tracked-changes", f"{_TEXT}note", f"{_OFFICE}annotation", f"{_DRAW}frame", f"{_TEXT}ruby-text",
    f"{_TEXT}sequence-decls", f"{_OFFICE}forms", f"{_DRAW}custom-shape", f"{_DRAW}text-box",
})  # fmt: skip
_CM: Final = {"cm": 1.0, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72, "pc": 2.54 / 6, "px": 2.54 / 96}
_REPEAT_LIMIT = 2_000
_LAST_ROW = 2_000_000
_DEPTH = 60


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the title; count the slides of a presentation."""
    with open_package(path, Limits()) as package:
        body = _body(package, path.name)
        meta = member_bytes_or_none(package, "meta.xml", path.name)
        title = next(xml_root(meta, path.name).iter(_DC_TITLE), None) if meta else None
        pages = len(list(body.iter(f"{_DRAW}page"))) if hint == "odp" else 1
    return source_info(hint, units=max(1, pages), title=flat(title.text or "") or None if title is not None else None)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Read the whole text or workbook, or a range of slides."""
    with open_package(path, request.limits) as package:
        body = _body(package, path.name)
        if info.extension == "odp":
            return _Slides(package, path.name, request).read(body)
        if info.extension == "ods":
            return _workbook(body, package, path.name, request.limits)
        assembly = Assembly(path.name, request.limits)
        _TextBody(assembly, package).read(body)
        return assembly.parsed()


def _body(package: zipfile.ZipFile, name: str) -> Any:
    manifest = member_bytes_or_none(package, "META-INF/manifest.xml", name)
    if manifest and b"encryption-data" in manifest:
        raise EncryptedFile(f"'{name}' needs a password; save a copy without one")
    root = xml_root(member_bytes(package, "content.xml", name), name)
    body = root.find(f"{_OFFICE}body")
    if body is None or not len(body):
        raise EmptyInput(f"'{name}' has no body")
    return body[0]


def paragraph_text(element: Any) -> str:
    """Return the text of a paragraph with its spaces, tabs and line breaks; notes and frames in it left out."""
    pieces = [_plain(element.text)]
    for child in element:
        if child.tag == f"{_TEXT}s":
            pieces.append(" ")
        elif child.tag == f"{_TEXT}tab":
            pieces.append("\t")
        elif child.tag == f"{_TEXT}line-break":
            pieces.append("\n")
        elif isinstance(child.tag, str) and child.tag not in _UNTOLD:
            pieces.append(paragraph_text(child))
        pieces.append(_plain(child.tail))
    return "".join(pieces)


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("\n", " ").split(" "))


def _paragraphs(element: Any) -> list[str]:
    found = element.iter(f"{_TEXT}p", f"{_TEXT}h")
    return [text for paragraph in found if (text := flat(paragraph_text(paragraph)))]


class _TextBody:
    """Reads a text document in document order."""

    def __init__(self, assembly: Assembly, package: zipfile.ZipFile) -> None:
        self._assembly = assembly
        self._package = package
        self._titles = {"Title"}

    def read(self, body: Any) -> None:
        for style in body.getroottree().iter(f"{_STYLE}style"):
            if style.get(f"{_STYLE}parent-style-name") == "Title":
                self._titles.add(style.get(f"{_STYLE}name"))
        self._blocks(body, 0)
        self._assembly.enter(None, 0)
        self._margins()

    def _blocks(self, container: Any, depth: int) -> None:
        for element in container:
            if depth < _DEPTH and isinstance(element.tag, str):
                self._block(element, depth)

    def _block(self, element: Any, depth: int) -> None:
        match element.tag.rpartition("}")[2]:
            case "h":
                self._assembly.heading(paragraph_text(element), int(element.get(f"{_TEXT}outline-level", "1")))
                self._inside(element, depth)
            case "p" if element.get(f"{_TEXT}style-name") in self._titles:
                self._assembly.heading(paragraph_text(element), 0)
                self._inside(element, depth)
            case "p":
                self._assembly.add(paragraph_text(element))
                self._inside(element, depth)
            case "list":
                self._assembly.add("\n".join(_list_lines(element)), "list")
                self._inside(element, depth)
            case "table":
                self._assembly.table(_text_rows(element))
                self._inside(element, depth)
            case "frame" | "custom-shape":
                self._frame(element, depth)
            case "tracked-changes" | "forms" | "sequence-decls":
                return
            case _:
                self._blocks(element, depth + 1)

    def _inside(self, element: Any, depth: int) -> None:
        for found in _outermost(element, f"{_DRAW}frame", f"{_DRAW}custom-shape"):
            self._frame(found, depth)
        for note in element.iter(f"{_TEXT}note-body", f"{_OFFICE}annotation"):
            self._assembly.add("\n".join(_paragraphs(note)))

    def _frame(self, frame: Any, depth: int) -> None:
        name = self._assembly.name
        if frame.tag == f"{_DRAW}custom-shape":
            self._assembly.add("\n".join(_paragraphs(frame)))
            return
        for box in frame.iterchildren(f"{_DRAW}text-box"):
            self._blocks(box, depth + 1)
        data = picture_bytes(self._package, frame, name)
        if data is not None:
            self._assembly.picture(data, _described(frame))
        for title, rows in chart_tables(self._package, frame, name):
            self._assembly.add(title, "caption")
            self._assembly.table(rows)

    def _margins(self) -> None:
        styles = member_bytes_or_none(self._package, "styles.xml", self._assembly.name)
        if styles is None:
            return
        seen: set[str] = set()
        for margin in xml_root(styles, self._assembly.name).iter(f"{_STYLE}header", f"{_STYLE}footer"):
            text = "\n".join(_paragraphs(margin))
            if text and text not in seen and not text.isdigit():
                seen.add(text)
                self._assembly.add(text)


def _outermost(element: Any, *tags: str) -> Iterator[Any]:
    for child in element:
        if child.tag in tags:
            yield child
        elif isinstance(child.tag, str):
            yield from _outermost(child, *tags)


def _list_lines(listing: Any) -> list[str]:
    lines = []
    for item in listing.iterchildren(f"{_TEXT}list-item", f"{_TEXT}list-header"):
        for element in item:
            if element.tag == f"{_TEXT}list":
                lines += _list_lines(element)
            elif text := flat(paragraph_text(element)):
                lines.append(f"- {text}")
    return lines


def _text_rows(table: Any) -> Iterator[list[str]]:
    downwards: dict[int, tuple[int, str]] = {}
    for row in table.iter(f"{_TABLE}table-row"):
        yield _row_cells(row, downwards)


def _described(frame: Any) -> str | None:
    texts = (frame.findtext(f"{_SVG}{tag}") for tag in ("title", "desc"))
    return " ".join(text for text in texts if text) or None


def picture_bytes(package: zipfile.ZipFile, frame: Any, name: str) -> bytes | None:
    """Return the picture of a frame; the preview of an embedded chart is none."""
    if frame.find(f"{_DRAW}object") is not None:
        return None
    for image in frame.iterchildren(f"{_DRAW}image"):
        data = member_bytes_or_none(package, joined("", image.get(_HREF, "")), name)
        if data is not None:
            return data
    return None


def chart_tables(package: zipfile.ZipFile, frame: Any, name: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Return title and data of the charts embedded in a frame."""
    for embedded in frame.iterchildren(f"{_DRAW}object"):
        member = joined("", embedded.get(_HREF, "")) + "/content.xml"
        data = member_bytes_or_none(package, member, name)
        if data is None:
            continue
        root = xml_root(data, name)
        titles = [" ".join(_paragraphs(title)) for title in root.iter(f"{{{_NS}chart:1.0}}title")]
        tables = list(root.iter(f"{_TABLE}table"))
        yield " - ".join(titles), [row for table in tables for row in _text_rows(table)]


def _workbook(body: Any, package: zipfile.ZipFile, name: str, limits: Limits) -> Parsed:
    blocks: list[TextBlock] = []
    pictures: list[Picture] = []
    shelf = PictureShelf(limits)
    for table in body.iterchildren(f"{_TABLE}table"):
        sheet = flat(table.get(f"{_TABLE}name", "")) or "Sheet1"
        blocks += sheet_blocks(sheet, _sheet_rows(table, name), (sheet,))
        for frame, place in _sheet_frames(table):
            anchor = Anchor(sheet=sheet, cells=place)
            titles = [title for title, _ in chart_tables(package, frame, name)]
            titles.append(spoken_alternative(_described(frame)))
            blocks += [
                TextBlock(text=title, anchor=anchor, role="caption", heading_path=(sheet,)) for title in titles if title
            ]
            data = picture_bytes(package, frame, name)
            artefact = shelf.take(data) if data else None
            if artefact is not None:
                pictures.append(
                    Picture(artefact=artefact, anchor=anchor, origin="picture", needs_ocr=True, needs_caption=True)
                )
    if not blocks and not pictures:
        raise EmptyInput(f"'{name}' holds no cell with content")
    if sum(len(block.text) for block in blocks) > limits.text_chars:
        raise LimitExceeded(f"'{name}' holds more than {limits.text_chars} characters of text")
    return Parsed(extraction=Extraction(blocks=tuple(blocks), pictures=tuple(pictures)), artefacts=shelf.artefacts)


def _sheet_rows(table: Any, name: str) -> Iterator[SheetRow]:
    number = 1
    downwards: dict[int, tuple[int, str]] = {}
    for row in table.iter(f"{_TABLE}table-row"):
        repeated = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
        cells = _row_cells(row, downwards)
        filled = any(cells)
        # Sheets end with one row that stands for a million empty ones.
        for copy in range(min(repeated, _REPEAT_LIMIT) if filled else 1):
            yield SheetRow(number + copy, cells)
        number += repeated
        if number > _LAST_ROW:
            return
        if filled and repeated > _REPEAT_LIMIT:
            raise LimitExceeded(f"'{name}' repeats one row {repeated} times; the limit is {_REPEAT_LIMIT}")


def _row_cells(row: Any, downwards: dict[int, tuple[int, str]]) -> list[str]:
    cells: list[str] = []
    for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
        text = " ".join(_paragraphs(cell))
        column = len(cells)
        if cell.tag == f"{_TABLE}covered-table-cell" and not text and column in downwards:
            left, text = downwards.pop(column)
            if left > 1:
                downwards[column] = (left - 1, text)
        elif (rows := int(cell.get(f"{_TABLE}number-rows-spanned", "1"))) > 1 and text:
            downwards[column] = (rows - 1, text)
        repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        cells += [text] * min(repeated, _REPEAT_LIMIT)
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _sheet_frames(table: Any) -> Iterator[tuple[Any, str]]:
    number = 1
    for row in table.iter(f"{_TABLE}table-row"):
        column = 1
        for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            for frame in cell.iter(f"{_DRAW}frame"):
                yield frame, cell_range(number, number, column, column)
            column += int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        number += int(row.get(f"{_TABLE}number-rows-repeated", "1"))
    for shapes in table.iterchildren(f"{_TABLE}shapes"):
        for frame in shapes.iter(f"{_DRAW}frame"):
            yield frame, "A1:A1"


class _Slides:
    """Reads a range of slides of a presentation."""

    def __init__(self, package: zipfile.ZipFile, name: str, request: ParseRequest) -> None:
        self._package = package
        self._name = name
        self._request = request
        self._size_cm = self._page_size_cm()
        self._blocks: list[TextBlock] = []
        self._pictures: list[Picture] = []
        self._path: tuple[str, ...] = ()

    def read(self, body: Any) -> Parsed:
        pages = list(body.iterchildren(f"{_DRAW}page"))
        wanted = self._request.units(len(pages))
        artefacts: dict[str, bytes] = {}
        for number in wanted:
            shelf = PictureShelf(self._request.limits, f"slide-{number}-picture")
            self._page(pages[number - 1], number, shelf)
            artefacts |= shelf.artefacts
        if not self._blocks and not self._pictures and len(wanted) == len(pages):
            raise EmptyInput(f"'{self._name}' holds no text and no pictures")
        extraction = Extraction(blocks=tuple(self._blocks), pictures=tuple(self._pictures))
        return Parsed(extraction=extraction, artefacts=artefacts)

    def _page(self, page: Any, number: int, shelf: PictureShelf) -> None:
        self._path = ()
        shapes = [shape for shape in page.iter(f"{_DRAW}frame", f"{_DRAW}custom-shape") if not _in_notes(shape)]
        for shape in sorted(shapes, key=lambda shape: shape.get(f"{_PRESENTATION}class") != "title"):
            self._shape(shape, number, shelf)
        for notes in page.iterchildren(f"{_PRESENTATION}notes"):
            for frame in notes.iter(f"{_DRAW}frame"):
                if frame.get(f"{_PRESENTATION}class") == "notes":
                    self._add("\n".join(_paragraphs(frame)), Anchor(page=number))

    def _shape(self, shape: Any, number: int, shelf: PictureShelf) -> None:
        anchor = Anchor(page=number, box=self._box(shape))
        tables = list(shape.iterchildren(f"{_TABLE}table"))
        for table in tables:
            self._add(table_text(_text_rows(table)), anchor, "table")
        if not tables:
            self._text(shape, anchor)
        for title, rows in chart_tables(self._package, shape, self._name):
            self._add(title, anchor, "caption")
            self._add(table_text(rows), anchor, "table")
        data = picture_bytes(self._package, shape, self._name) if not tables else None
        artefact = shelf.take(data) if data else None
        if artefact is not None:
            self._pictures.append(
                Picture(artefact=artefact, anchor=anchor, origin="picture", needs_ocr=True, needs_caption=True)
            )
        if data is not None:
            self._add(spoken_alternative(_described(shape)), anchor, "caption")

    def _text(self, shape: Any, anchor: Anchor) -> None:
        lines = _paragraphs(shape)
        if shape.get(f"{_PRESENTATION}class") == "title":
            self._add(" ".join(lines), anchor, "heading")
            self._path = (" ".join(lines),) if lines else ()
        elif len(lines) > 1:
            self._add("\n".join(f"- {line}" for line in lines), anchor, "list")
        else:
            self._add("".join(lines), anchor)

    def _add(self, text: str, anchor: Anchor, role: Role = "paragraph") -> None:
        content = clean(text)
        if content.strip(" |\n"):
            self._blocks.append(TextBlock(text=content, anchor=anchor, role=role, heading_path=self._path))

    def _box(self, shape: Any) -> Box | None:
        lengths = [_cm(shape.get(f"{_SVG}{side}")) for side in ("x", "y", "width", "height")]
        x, y, width, height = lengths
        if x is None or y is None or width is None or height is None:
            return None
        across, down = self._size_cm
        return fraction_box(x / across, y / down, (x + width) / across, (y + height) / down)

    def _page_size_cm(self) -> tuple[float, float]:
        styles = member_bytes_or_none(self._package, "styles.xml", self._name)
        if styles is not None:
            root = xml_root(styles, self._name)
            master = next(root.iter(f"{_STYLE}master-page"), None)
            wanted = master.get(f"{_STYLE}page-layout-name") if master is not None else None
            for layout in root.iter(f"{_STYLE}page-layout"):
                properties = layout.find(f"{_STYLE}page-layout-properties")
                if layout.get(f"{_STYLE}name") == wanted and properties is not None:
                    across, down = (_cm(properties.get(f"{_FO}page-{side}")) for side in ("width", "height"))
                    if across and down:
                        return across, down
        return 28.0, 15.75


def _in_notes(shape: Any) -> bool:
    return any(parent.tag == f"{_PRESENTATION}notes" for parent in shape.iterancestors())


def _cm(length: str | None) -> float | None:
    if not length or length[-2:] not in _CM:
        return None
    try:
        return float(length[:-2]) * _CM[length[-2:]]
    except ValueError:
        return None
