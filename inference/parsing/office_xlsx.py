"""Excel workbooks: the cells of every sheet as people see them, then charts' titles, text boxes and pictures.

Cells merged downwards are repeated in each row that they cover, so that each row reads on its own.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import openpyxl
from lxml import etree
from openpyxl.utils import range_boundaries
from openpyxl.utils.exceptions import InvalidFileException

from inference.errors import DamagedFile, EmptyInput, LimitExceeded
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.blocks import flat, spoken_alternative
from inference.parsing.embedded_picture import PictureShelf
from inference.parsing.office_chart import chart_title
from inference.parsing.package import BROKEN_PACKAGE, member_bytes_or_none, open_package, relations, xml_root
from inference.parsing.registry import source_info
from inference.parsing.sheet import SheetRow, cell_range, sheet_blocks
from inference.values import Anchor, Extraction, Picture, SourceInfo, TextBlock

_S: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_XDR: Final = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_A: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_R: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_CHART: Final = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
_FORMAT = re.compile(r"^(?P<before>[^0#]*)(?P<whole>[0#][0#,]*)(?:\.(?P<decimals>0+))?[#?]*(?P<after>[^0#]*)$")
_LITERAL = re.compile(r'\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|"([^"]*)"|\\(.)|_.|\*.')
_MERGED_CELLS = 200_000
_DAMAGE = (InvalidFileException, *BROKEN_PACKAGE)


def probe(path: Path, hint: str) -> SourceInfo:
    """Check that it is a workbook and read its title."""
    open_package(path, Limits()).close()
    book = _workbook(path)
    title = flat(book.properties.title or "") or None
    book.close()
    return source_info(hint, title=title)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read all sheets, hidden ones too."""
    with open_package(path, request.limits) as package:
        book = _workbook(path)
        shelf = PictureShelf(request.limits)
        blocks: list[TextBlock] = []
        pictures: list[Picture] = []
        try:
            for sheet in book.worksheets:
                blocks += _cells(sheet, package, path.name)
                drawings = _Drawings(sheet, package, path.name, shelf)
                blocks += drawings.blocks
                pictures += drawings.pictures
                _check_size(blocks, path.name, request.limits)
        except _DAMAGE as error:
            raise DamagedFile(f"'{path.name}' cannot be read as a workbook: {error}") from error
        finally:
            book.close()
    if not blocks and not pictures:
        raise EmptyInput(f"'{path.name}' holds no cell with content")
    return Parsed(extraction=Extraction(blocks=tuple(blocks), pictures=tuple(pictures)), artefacts=shelf.artefacts)


def shown(value: Any, number_format: str) -> str:
    """Write a cell's value as people see it; dates in ISO form, which no region misreads."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, int | float):
        return _number(value, number_format)
    return flat(str(value))


def _number(value: float, number_format: str) -> str:
    plain = str(value) if isinstance(value, int) else f"{value:.12g}"
    positive, *others = number_format.split(";")
    pattern = others[0] if value < 0 and others else positive
    literal = _LITERAL.sub(lambda found: found.group(1) or found.group(2) or found.group(3) or "", pattern)
    form = _FORMAT.match(literal)
    if number_format == "General" or form is None or "E" in literal:
        return plain
    number = abs(value) if value < 0 and others else value
    decimals = len(form["decimals"] or "")
    before, after = form["before"], form["after"]
    if "%" in before + after:
        number *= 100
    grouping = "," if "," in form["whole"] else ""
    digits = f"{number:{grouping}.{decimals}f}"
    if "." not in literal and form["whole"].strip("0#,") == "" and not decimals and len(form["whole"]) > 1:
        digits = digits.zfill(form["whole"].count("0"))
    return flat(f"{before}{digits}{after}")


def _workbook(path: Path) -> Any:
    try:
        # Given a path, openpyxl judges by the extension; stored bytes have none.
        return openpyxl.load_workbook(io.BytesIO(path.read_bytes()), read_only=True, data_only=True, keep_links=False)
    except _DAMAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a workbook: {error}") from error


def _cells(sheet: Any, package: zipfile.ZipFile, name: str) -> Iterator[TextBlock]:
    member = _member(sheet)
    downwards = _merged_downwards(package, member, name)
    sheet.reset_dimensions()
    yield from sheet_blocks(sheet.title, _rows(sheet, downwards), (flat(sheet.title),))


def _rows(sheet: Any, downwards: dict[tuple[int, int], tuple[int, int]]) -> Iterator[SheetRow]:
    sources: dict[tuple[int, int], str] = dict.fromkeys(downwards.values(), "")
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [shown(cell.value, getattr(cell, "number_format", None) or "General") for cell in row]
        for column in range(1, len(cells) + 1):
            place = (number, column)
            if place in sources:
                sources[place] = cells[column - 1]
            elif place in downwards and not cells[column - 1]:
                cells[column - 1] = sources[downwards[place]]
        yield SheetRow(number, cells)


def _merged_downwards(package: zipfile.ZipFile, member: str, name: str) -> dict[tuple[int, int], tuple[int, int]]:
    covered: dict[tuple[int, int], tuple[int, int]] = {}
    if member not in package.NameToInfo:
        return covered
    with package.open(member) as stream:
        tags = (f"{_S}mergeCell", f"{_S}row")
        for _, element in etree.iterparse(
            stream, tag=tags, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        ):
            reference = element.get("ref")
            element.clear()
            if not reference:
                continue
            first_column, first_row, _, last_row = range_boundaries(reference)
            if last_row - first_row + len(covered) > _MERGED_CELLS:
                raise LimitExceeded(f"'{name}' merges more than {_MERGED_CELLS} cells")
            for row in range(first_row + 1, last_row + 1):
                covered[row, first_column] = (first_row, first_column)
    return covered


def _member(sheet: Any) -> str:
    return str(sheet._worksheet_path).lstrip("/")


class _Drawings:
    """Reads what is drawn on one sheet: text boxes, charts' titles, pictures and their alternative texts."""

    def __init__(self, sheet: Any, package: zipfile.ZipFile, name: str, shelf: PictureShelf) -> None:
        self.blocks: list[TextBlock] = []
        self.pictures: list[Picture] = []
        self._sheet = sheet.title
        self._package = package
        self._name = name
        self._shelf = shelf
        for kind, target in relations(package, _member(sheet), name).values():
            if kind.endswith("/drawing"):
                self._drawing(target)

    def _drawing(self, member: str) -> None:
        data = member_bytes_or_none(self._package, member, self._name)
        if data is None:
            return
        related = relations(self._package, member, self._name)
        for frame in xml_root(data, self._name).iterchildren(f"{_XDR}twoCellAnchor", f"{_XDR}oneCellAnchor"):
            anchor = Anchor(sheet=self._sheet, cells=_frame_range(frame))
            self.blocks += [
                TextBlock(text=text, anchor=anchor, role="caption", heading_path=(flat(self._sheet),))
                for text in self._texts(frame, related)
            ]
            self.pictures += [
                Picture(artefact=artefact, anchor=anchor, origin="picture", needs_ocr=True, needs_caption=True)
                for artefact in self._artefacts(frame, related)
            ]

    def _texts(self, frame: Any, related: Mapping[str, tuple[str, str]]) -> Iterator[str]:
        for shape in frame.iter(f"{_XDR}txBody"):
            if text := flat(" ".join(run.text or "" for run in shape.iter(f"{_A}t"))):
                yield text
        for properties in frame.iterfind(f".//{_XDR}pic//{_XDR}cNvPr"):
            if text := spoken_alternative(properties.get("descr")):
                yield text
        for chart in frame.iter(_CHART):
            data = self._related(related, chart.get(f"{_R}id"))
            if data and (title := chart_title(xml_root(data, self._name))):
                yield title

    def _artefacts(self, frame: Any, related: Mapping[str, tuple[str, str]]) -> Iterator[str]:
        for blip in frame.iter(f"{_A}blip"):
            data = self._related(related, blip.get(f"{_R}embed"))
            artefact = self._shelf.take(data) if data else None
            if artefact is not None:
                yield artefact

    def _related(self, related: Mapping[str, tuple[str, str]], identifier: str) -> bytes | None:
        _, target = related.get(identifier, ("", ""))
        return member_bytes_or_none(self._package, target, self._name)


def _frame_range(frame: Any) -> str:
    corner = frame.find(f"{_XDR}from")
    opposite = frame.find(f"{_XDR}to")
    first_row, first_column = _place(corner)
    last_row, last_column = _place(opposite) if opposite is not None else (first_row, first_column)
    return cell_range(first_row, max(first_row, last_row), first_column, max(first_column, last_column))


def _place(corner: Any) -> tuple[int, int]:
    return int(corner.findtext(f"{_XDR}row")) + 1, int(corner.findtext(f"{_XDR}col")) + 1


def _check_size(blocks: list[TextBlock], name: str, limits: Limits) -> None:
    if sum(len(block.text) for block in blocks) > limits.text_chars:
        raise LimitExceeded(f"'{name}' holds more than {limits.text_chars} characters of text")
