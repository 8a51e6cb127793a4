"""PowerPoint files: each slide's title, text, tables, charts, diagrams and pictures with boxes, then its notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.exc import PackageNotFoundError
from pptx.package import Package
from pptx.parts.presentation import PresentationPart

from inference.errors import DamagedFile, EmptyInput, LimitExceeded, UnsupportedFormat
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.blocks import Role, clean, flat, spoken_alternative, table_text
from inference.parsing.embedded_picture import PictureShelf
from inference.parsing.office_chart import chart_rows, chart_title
from inference.parsing.package import BROKEN_PACKAGE, open_package, xml_root
from inference.parsing.registry import source_info
from inference.values import Anchor, Box, Extraction, Picture, SourceInfo, TextBlock

_R: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_A: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P: Final = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_DIAGRAM: Final = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_UNTOLD: Final = frozenset({PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE})
_EMBEDDED_FILES: Final = (b"PK\x03\x04", b"%PDF-")
_DEPTH = 20
_DAMAGE = (PackageNotFoundError, *BROKEN_PACKAGE)


@dataclasses.dataclass(frozen=True, slots=True)
class _Frame:
    """How a group's own coordinates map to the slide: ``slide = offset + (own - origin) * scale``."""

    offset: tuple[float, float] = (0.0, 0.0)
    origin: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)

    def place(self, x: float, y: float) -> tuple[float, float]:
        return (
            self.offset[0] + (x - self.origin[0]) * self.scale[0],
            self.offset[1] + (y - self.origin[1]) * self.scale[1],
        )


def probe(path: Path, hint: str) -> SourceInfo:
    """Count the slides and read the title among the properties."""
    presentation = _presentation(path, Limits())
    try:
        title = flat(presentation.core_properties.title or "")
        units = max(1, len(presentation.slides))
    except _DAMAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a presentation: {error}") from error
    generic = title.lower() in ("", "powerpoint presentation")
    return source_info(hint, units=units, title=None if generic else title)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read a range of slides."""
    presentation = _presentation(path, request.limits)
    blocks: list[TextBlock] = []
    pictures: list[Picture] = []
    artefacts: dict[str, bytes] = {}
    inside: dict[str, bytes] = {}
    total = len(presentation.slides)
    wanted = request.units(total)
    try:
        for number, slide in enumerate(presentation.slides, 1):
            if number not in wanted:
                continue
            reader = _Slide(presentation, slide, number, request.limits, path.name)
            reader.read()
            blocks += reader.blocks
            pictures += reader.pictures
            artefacts |= reader.shelf.artefacts
            inside |= reader.inside
    except _DAMAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a presentation: {error}") from error
    if not blocks and not pictures and not inside and len(wanted) == total:
        raise EmptyInput(f"'{path.name}' holds no text and no pictures")
    if len(inside) > request.limits.attachments:
        raise LimitExceeded(f"'{path.name}' carries more than {request.limits.attachments} files; split it")
    extraction = Extraction(
        blocks=tuple(blocks), pictures=tuple(pictures), attachments=tuple((name, name) for name in inside)
    )
    return Parsed(extraction=extraction, artefacts=artefacts | inside)


def _presentation(path: Path, limits: Limits) -> Any:
    open_package(path, limits).close()
    try:
        part = Package.open(str(path)).main_document_part
    except _DAMAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a presentation: {error}") from error
    if not isinstance(part, PresentationPart):
        raise UnsupportedFormat(
            f"'{path.name}' is a variant of presentation ({part.content_type}) that is not read; save it as plain .pptx"
        )
    return part.presentation


class _Slide:
    """Reads one slide."""

    def __init__(self, presentation: Any, slide: Any, number: int, limits: Limits, name: str) -> None:
        self.blocks: list[TextBlock] = []
        self.pictures: list[Picture] = []
        self.inside: dict[str, bytes] = {}
        self.shelf = PictureShelf(limits, f"slide-{number}-picture")
        self._size = (float(presentation.slide_width or 1), float(presentation.slide_height or 1))
        self._slide = slide
        self._number = number
        self._name = name
        self._path: tuple[str, ...] = ()

    def read(self) -> None:
        title = self._slide.shapes.title
        if title is not None and flat(title.text_frame.text):
            self._add(title.text_frame.text, self._box(title, _Frame()), "heading")
            self._path = (flat(title.text_frame.text),)
        self._shapes(self._slide.shapes, _Frame(), 0, None if title is None else title.shape_id)
        if self._slide.has_notes_slide and self._slide.notes_slide.notes_text_frame is not None:
            self._add(self._slide.notes_slide.notes_text_frame.text, None)

    def _shapes(self, shapes: Any, frame: _Frame, depth: int, title_id: int | None) -> None:
        for shape in shapes:
            if shape.shape_id == title_id and depth == 0:
                continue
            if shape.element.tag == f"{_P}grpSp":
                if depth < _DEPTH:
                    self._shapes(shape.shapes, _group_frame(shape, frame), depth + 1, None)
            else:
                self._shape(shape, self._box(shape, frame))

    def _shape(self, shape: Any, box: Box | None) -> None:
        if shape.is_placeholder and shape.placeholder_format.type in _UNTOLD:
            return
        if shape.has_text_frame:
            paragraphs = [flat(paragraph.text.replace("\v", " ")) for paragraph in shape.text_frame.paragraphs]
            said = [paragraph for paragraph in paragraphs if paragraph]
            role: Role = "list" if len(said) > 1 else "paragraph"
            self._add("\n".join(f"- {line}" for line in said) if role == "list" else "".join(said), box, role)
        elif getattr(shape, "has_table", False) and shape.has_table:
            self._add(table_text(_table_rows(shape.table)), box, "table")
        elif getattr(shape, "has_chart", False) and shape.has_chart:
            space = shape.chart._chartSpace
            self._add(chart_title(space), box, "caption")
            self._add(table_text(chart_rows(space)), box, "table")
        self._diagram(shape, box)
        self._embedded(shape, box)
        self._files_inside(shape)

    def _diagram(self, shape: Any, box: Box | None) -> None:
        for reference in shape.element.iter(f"{_DIAGRAM}relIds"):
            part = self._related(reference.get(f"{_R}dm"))
            if part is None:
                continue
            points = xml_root(part.blob, self._name).iter(f"{_DIAGRAM}pt")
            lines = [flat("".join(run.text or "" for run in point.iter(f"{_A}t"))) for point in points]
            self._add("\n".join(f"- {line}" for line in lines if line), box, "list")

    def _embedded(self, shape: Any, box: Box | None) -> None:
        found = False
        for blip in shape.element.iter(f"{_A}blip"):
            part = self._related(blip.get(f"{_R}embed"))
            artefact = self.shelf.take(part.blob) if part is not None else None
            found = True
            if artefact is not None:
                self.pictures.append(
                    Picture(
                        artefact=artefact,
                        anchor=Anchor(page=self._number, box=box),
                        origin="picture",
                        needs_ocr=True,
                        needs_caption=True,
                    )
                )
        if found:
            properties = next(shape.element.iter(f"{_P}cNvPr"), None)
            described = properties.get("descr") if properties is not None else None
            self._add(spoken_alternative(described), box, "caption")

    def _files_inside(self, shape: Any) -> None:
        """Keep a sheet or document that was put on the slide as a file of its own; only its picture is shown there."""
        for reference in shape.element.iter(f"{_P}oleObj"):
            part = self._related(reference.get(f"{_R}id"))
            if part is not None and part.blob.startswith(_EMBEDDED_FILES):
                self.inside[f"slide-{self._number}-{part.partname.filename}"] = part.blob

    def _related(self, identifier: str | None) -> Any:
        relation = self._slide.part.rels.get(identifier) if identifier else None
        return None if relation is None or relation.is_external else relation.target_part

    def _add(self, text: str, box: Box | None, role: Role = "paragraph") -> None:
        content = flat(text.replace("\v", " ")) if role == "heading" else clean(text.replace("\v", "\n"))
        if content.strip(" |\n"):
            anchor = Anchor(page=self._number, box=box)
            self.blocks.append(TextBlock(text=content, anchor=anchor, role=role, heading_path=self._path))

    def _box(self, shape: Any, frame: _Frame) -> Box | None:
        if shape.left is None or shape.top is None or shape.width is None or shape.height is None:
            return None
        x0, y0 = frame.place(shape.left, shape.top)
        x1, y1 = frame.place(shape.left + shape.width, shape.top + shape.height)
        width, height = self._size
        return fraction_box(x0 / width, y0 / height, x1 / width, y1 / height)


def fraction_box(x0: float, y0: float, x1: float, y1: float) -> Box | None:
    """Return the part of a box that lies on the page; None when nothing of it does."""
    left, top, right, bottom = (min(1.0, max(0.0, value)) for value in (x0, y0, x1, y1))
    return Box(x0=left, y0=top, x1=right, y1=bottom) if left < right and top < bottom else None


def _group_frame(group: Any, frame: _Frame) -> _Frame:
    transform = group.element.find(f"{_P}grpSpPr/{_A}xfrm")
    if transform is None:
        return frame
    place, size, origin, extent = (
        _pair(transform.find(f"{_A}{tag}"), names)
        for tag, names in (("off", "xy"), ("ext", ("cx", "cy")), ("chOff", "xy"), ("chExt", ("cx", "cy")))
    )
    if not (place and size and origin and extent and all(extent)):
        return frame
    inner = (size[0] / extent[0] * frame.scale[0], size[1] / extent[1] * frame.scale[1])
    return _Frame(frame.place(*place), origin, inner)


def _pair(element: Any, names: Sequence[str]) -> tuple[float, float] | None:
    return None if element is None else (float(element.get(names[0], "0")), float(element.get(names[1], "0")))


def _table_rows(table: Any) -> Iterator[list[str]]:
    for row in table.rows:
        yield ["" if cell.is_spanned else flat(cell.text.replace("\v", " ")) for cell in row.cells]
