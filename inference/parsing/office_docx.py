"""Word documents: body in document order with headings, lists, tables and pictures, then notes, headers and footers.

What was deleted under tracked changes is left out, what was inserted is read. Footnotes, endnotes, comments, headers
and footers follow the body, each text once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.exceptions import PackageNotFoundError
from docx.opc.part import PartFactory
from docx.package import Package
from docx.parts.document import DocumentPart

from inference.errors import DamagedFile, UnsupportedFormat
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.blocks import Assembly, flat
from inference.parsing.office_chart import chart_rows, chart_title
from inference.parsing.package import BROKEN_PACKAGE, open_package, xml_root
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_R: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_A_BLIP: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}blip"
_V_IMAGE: Final = "{urn:schemas-microsoft-com:vml}imagedata"
_CHART: Final = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MATH_TEXT: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_DOC_PROPERTIES: Final = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
_TEXTBOX: Final = f"{_W}txbxContent"
_SKIPPED: Final = frozenset({f"{_W}del", f"{_W}moveFrom", f"{_W}instrText", _FALLBACK, _TEXTBOX})
_NOTES: Final = (
    (RELATIONSHIP_TYPE.FOOTNOTES, "footnote"),
    (RELATIONSHIP_TYPE.ENDNOTES, "endnote"),
    (RELATIONSHIP_TYPE.COMMENTS, "comment"),
)
_BODY_LEVEL = 9
_DEPTH = 60

for _kind in (
    "application/vnd.ms-word.document.macroEnabled.main+xml",
    "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
):
    PartFactory.part_type_for[_kind] = DocumentPart


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the title among the document's properties."""
    document = _document(path, Limits())
    try:
        title = flat(document.core_properties.title or "")
    except BROKEN_PACKAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a Word document: {error}") from error
    return source_info(hint, title=title or None)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the whole document."""
    document = _document(path, request.limits)
    assembly = Assembly(path.name, request.limits)
    try:
        _Body(assembly, document).read()
    except BROKEN_PACKAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a Word document: {error}") from error
    return assembly.parsed()


def _document(path: Path, limits: Limits) -> DocumentPart:
    open_package(path, limits).close()
    try:
        part = Package.open(str(path)).main_document_part
    except (PackageNotFoundError, *BROKEN_PACKAGE) as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a Word document: {error}") from error
    if not isinstance(part, DocumentPart):
        raise UnsupportedFormat(
            f"'{path.name}' is a kind of Word document ({part.content_type}) that is not read; save it as .docx"
        )
    return part


class _Body:
    """Reads the parts of one document into an assembly."""

    def __init__(self, assembly: Assembly, document: DocumentPart) -> None:
        self._assembly = assembly
        self._document = document
        self._styles = _StyleLevels(document)

    def read(self) -> None:
        body = self._document.element.find(f"{_W}body")
        if body is None:
            raise DamagedFile(f"'{self._assembly.name}' has no body")
        self._blocks(body, self._document, 0)
        self._assembly.enter(None, 0)
        self._notes()
        self._margins()

    def _blocks(self, container: Any, part: Any, depth: int) -> None:
        if depth > _DEPTH:
            return
        for element in container:
            if element.tag == f"{_W}p":
                self._paragraph(element, part, depth)
            elif element.tag == f"{_W}tbl":
                self._table(element, part)
            elif element.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml", f"{_W}moveTo"):
                self._blocks(element, part, depth + 1)

    def _paragraph(self, paragraph: Any, part: Any, depth: int) -> None:
        text = _text(paragraph)
        level = self._styles.level(paragraph)
        if level is not None and level <= _BODY_LEVEL:
            self._assembly.heading(text, level)
        elif self._styles.is_list(paragraph):
            self._assembly.add(f"- {flat(text)}" if text.strip() else "", "list")
        elif self._styles.is_caption(paragraph):
            self._assembly.add(text, "caption")
        else:
            self._assembly.add(text)
        self._embedded(paragraph, part)
        for box in _outermost(paragraph, _TEXTBOX):
            self._blocks(box, part, depth + 1)

    def _table(self, table: Any, part: Any) -> None:
        rows = _table_rows(table)
        if rows and max(map(len, rows)) == 1 and len(rows) == 1:
            self._blocks(next(table.iter(f"{_W}tc")), part, 1)
            return
        self._assembly.table(rows)
        self._embedded(table, part)

    def _embedded(self, element: Any, part: Any) -> None:
        for found in element.iter(_A_BLIP, _V_IMAGE, _CHART):
            if any(parent.tag == _FALLBACK for parent in found.iterancestors()):
                continue
            related = _related(part, found.get(f"{_R}embed") or found.get(f"{_R}id"))
            if related is None:
                continue
            if found.tag == _CHART:
                self._chart(related)
            else:
                self._assembly.picture(related.blob, _alternative(found))

    def _chart(self, chart: Any) -> None:
        space = xml_root(chart.blob, self._assembly.name)
        self._assembly.add(chart_title(space), "caption")
        self._assembly.table(chart_rows(space))

    def _notes(self) -> None:
        for kind, name in _NOTES:
            for relation in self._document.rels.values():
                if relation.reltype != kind or relation.is_external:
                    continue
                part = relation.target_part
                for note in xml_root(part.blob, self._assembly.name).iterchildren(f"{_W}{name}"):
                    if note.get(f"{_W}type") in (None, "normal"):
                        self._assembly.add("\n".join(_paragraph_texts(note)))

    def _margins(self) -> None:
        seen: set[str] = set()
        for relation in self._document.rels.values():
            if relation.reltype not in (RELATIONSHIP_TYPE.HEADER, RELATIONSHIP_TYPE.FOOTER):
                continue
            part = relation.target_part
            root = xml_root(part.blob, self._assembly.name)
            text = "\n".join(_paragraph_texts(root))
            if text and text not in seen and not text.isdigit():
                seen.add(text)
                self._assembly.add(text)
                self._embedded(root, part)


class _StyleLevels:
    """What a paragraph's style says: the heading level, whether it is a list item or a caption."""

    def __init__(self, document: DocumentPart) -> None:
        styles = document.styles.element
        self._styles = {style.get(f"{_W}styleId"): style for style in styles.iterchildren(f"{_W}style")}

    def level(self, paragraph: Any) -> int | None:
        own = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
        if own is not None:
            return _outline(own)
        for style in self._chain(paragraph):
            name = _name(style)
            if name == "title":
                return 0
            outline = style.find(f"{_W}pPr/{_W}outlineLvl")
            if outline is not None:
                return _outline(outline)
            if name.startswith("heading ") and name[8:].isdigit():
                return int(name[8:])
        return None

    def is_list(self, paragraph: Any) -> bool:
        own = paragraph.find(f"{_W}pPr/{_W}numPr/{_W}numId")
        if own is not None:
            return bool(own.get(f"{_W}val") != "0")
        return any(
            (_name(style).startswith("list ") and _name(style) != "list paragraph")
            or style.find(f"{_W}pPr/{_W}numPr") is not None
            for style in self._chain(paragraph)
        )

    def is_caption(self, paragraph: Any) -> bool:
        return any(_name(style) == "caption" for style in self._chain(paragraph))

    def _chain(self, paragraph: Any) -> Iterator[Any]:
        reference = paragraph.find(f"{_W}pPr/{_W}pStyle")
        seen: set[str] = set()
        while reference is not None:
            identifier = reference.get(f"{_W}val")
            style = self._styles.get(identifier)
            if style is None or identifier in seen:
                return
            seen.add(identifier)
            yield style
            reference = style.find(f"{_W}basedOn")


def _name(style: Any) -> str:
    name = style.find(f"{_W}name")
    return str(name.get(f"{_W}val", "")).lower() if name is not None else ""


def _outline(element: Any) -> int:
    value = element.get(f"{_W}val", "9")
    return int(value) + 1 if value.isdigit() else _BODY_LEVEL + 1


def _text(element: Any) -> str:
    pieces: list[str] = []
    for child in element:
        if child.tag in _SKIPPED:
            continue
        if child.tag in (f"{_W}t", _MATH_TEXT):
            pieces.append(child.text or "")
        elif child.tag in (f"{_W}br", f"{_W}cr"):
            pieces.append("\n")
        elif child.tag in (f"{_W}tab", f"{_W}ptab"):
            pieces.append("\t")
        elif child.tag == f"{_W}noBreakHyphen":
            pieces.append("-")
        elif child.tag != f"{_W}pPr":
            pieces.append(_text(child))
    return "".join(pieces)


def _paragraph_texts(element: Any) -> list[str]:
    return [text for paragraph in element.iter(f"{_W}p") if (text := flat(_text(paragraph)))]


def _table_rows(table: Any) -> list[list[str]]:
    rows: list[list[str]] = []
    above: dict[int, str] = {}
    for row in _outermost(table, f"{_W}tr"):
        cells: list[str] = []
        for cell in _outermost(row, f"{_W}tc"):
            merge = cell.find(f"{_W}tcPr/{_W}vMerge")
            text = " ".join(_paragraph_texts(cell))
            if merge is not None and merge.get(f"{_W}val", "continue") == "continue":
                text = above.get(len(cells), "")
            above[len(cells)] = text
            cells += [text] + [""] * (_grid_span(cell) - 1)
        rows.append(cells)
    return rows


def _grid_span(cell: Any) -> int:
    span = cell.find(f"{_W}tcPr/{_W}gridSpan")
    value = span.get(f"{_W}val", "1") if span is not None else "1"
    return min(int(value), 1_000) if value.isdigit() and int(value) else 1


def _outermost(element: Any, tag: str) -> Iterator[Any]:
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag not in (_FALLBACK, f"{_W}tbl"):
            yield from _outermost(child, tag)


def _alternative(blip: Any) -> str | None:
    for parent in blip.iterancestors():
        properties = parent.find(_DOC_PROPERTIES)
        if properties is not None:
            return str(properties.get("descr") or "") or None
    return None


def _related(part: Any, identifier: str | None) -> Any:
    relation = part.rels.get(identifier) if identifier else None
    return None if relation is None or relation.is_external else relation.target_part
