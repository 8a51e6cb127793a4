"""Reads PDFs: the text layer with its places, renders of pages, and pictures that stand on them."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from inference.errors import DamagedFile, EmptyInput, EncryptedFile
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.page_margins import NEIGHBOURS, MarginRow, margin_rows, without_margins
from inference.parsing.page_order import Paragraph, page_items
from inference.parsing.page_runs import PageFrame, Rect, Run, page_rules, page_runs
from inference.parsing.page_tables import Table
from inference.parsing.picture import png_bytes
from inference.parsing.registry import source_info
from inference.values import Anchor, Box, Extraction, Picture, SourceInfo, TextBlock

_POINTS_PER_INCH = 72
_WHOLE = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
_TEXT_LETTERS_MIN = 16
_SCAN_LETTERS_MAX = 48
_SCAN_SHARE = 0.5
_READABLE_SHARE = 0.7
_PICTURE_PX = 100
_PICTURE_SHARE = 0.02
_PICTURE_DPI_MAX = 300
_HEADING_RATIO = 1.15
_HEADING_CHARS = 200
_HEADING_LINES = 3
_PAGES_LOOKED_BACK = 3
_CAPTION = re.compile(r"^(figure|fig\.|table|abbildung|abb\.|tabelle|figura|tableau)\s*\d", re.IGNORECASE)


def probe(path: Path, hint: str) -> SourceInfo:
    """Count the pages and read the title that the document states."""
    with _opened(path) as document:
        title = str(document.get_metadata_dict().get("Title") or "").strip("\0 \t\r\n")
        return source_info(hint, units=len(document), title=title or None)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Read a range of pages; those without a useful text layer are rendered for OCR."""
    with _opened(path) as document:
        units = request.units(min(info.units, len(document)))
        reader = _Reader(document, request.limits)
        # The chapter that the first page goes on with begins on a page before it.
        reader.headings_recall(range(max(1, units.start - _PAGES_LOOKED_BACK), units.start))
        for unit in units:
            reader.page_read(unit)
    extraction = Extraction(blocks=tuple(reader.blocks), pictures=tuple(reader.pictures))
    return Parsed(extraction=extraction, artefacts=reader.artefacts)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    document, repaired = _document(path)
    try:
        if len(document) == 0:
            raise EmptyInput(f"'{path.name}' has no pages")
        if document.get_formtype() != pdfium.FORMTYPE_NONE:
            document.init_forms()
        yield document
    except pypdfium2.PdfiumError as error:
        raise DamagedFile(f"'{path.name}' is damaged: {error}") from error
    finally:
        document.close()
        if repaired is not None:
            repaired.unlink(missing_ok=True)


def _document(path: Path) -> tuple[Any, Path | None]:
    try:
        return pypdfium2.PdfDocument(path), None
    except pypdfium2.PdfiumError as error:
        if error.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            raise EncryptedFile(f"'{path.name}' needs a password") from error
    repaired = _repaired(path)
    try:
        return pypdfium2.PdfDocument(repaired), repaired
    except pypdfium2.PdfiumError as error:
        repaired.unlink(missing_ok=True)
        raise DamagedFile(f"'{path.name}' is damaged and could not be repaired: {error}") from error


def _repaired(path: Path) -> Path:
    import pikepdf

    with tempfile.NamedTemporaryFile(suffix=".pdf", delete=False) as target:
        repaired = Path(target.name)
    try:
        with pikepdf.open(path) as document:
            document.save(repaired)
    except pikepdf.PasswordError as error:
        repaired.unlink(missing_ok=True)
        raise EncryptedFile(f"'{path.name}' needs a password") from error
    except (pikepdf.PdfError, ValueError, RuntimeError) as error:
        repaired.unlink(missing_ok=True)
        raise DamagedFile(f"'{path.name}' is damaged and could not be repaired: {error}") from error
    return repaired


@dataclasses.dataclass(frozen=True, slots=True)
class _Heading:
    size: float
    bold: bool
    title: str

    def encloses(self, other: _Heading) -> bool:
        """Whether the other one is of a lower level."""
        if self.size > other.size * 1.05:
            return True
        return self.size > other.size * 0.95 and self.bold and not other.bold


class _Reader:
    """Reads page after page and follows the headings."""

    def __init__(self, document: Any, limits: Limits) -> None:
        self.blocks: list[TextBlock] = []
        self.pictures: list[Picture] = []
        self.artefacts: dict[str, bytes] = {}
        self._document = document
        self._limits = limits
        self._path: list[_Heading] = []
        self._body_size = 0.0
        self._sizes: collections.Counter[float] = collections.Counter()
        self._margins: dict[int, tuple[MarginRow, ...]] = {}

    def headings_recall(self, units: range) -> None:
        """Follow the headings of earlier pages without keeping their text."""
        for unit in units:
            with self._page(unit) as page:
                frame = PageFrame(page)
                runs = self._body(unit, page_runs(page, frame), frame)
                if _is_useful(runs):
                    self._text_read(unit, page, frame, runs)
        self.blocks.clear()

    def page_read(self, unit: int) -> None:
        """Read one page."""
        with self._page(unit) as page:
            frame = PageFrame(page)
            runs = page_runs(page, frame)
            images = _image_rects(page, frame)
            if _is_useful(runs) and not _is_scan(runs, images, frame):
                self._text_read(unit, page, frame, self._body(unit, runs, frame))
                self._render_keep(unit, page, frame)
                self._pictures_keep(unit, page, frame, images)
            elif _has_content(page):
                self._scan_keep(unit, page, frame)

    @contextlib.contextmanager
    def _page(self, unit: int) -> Iterator[Any]:
        page = self._document[unit - 1]
        try:
            yield page
        finally:
            page.close()

    # ------------------------------------------------------------ text

    def _body(self, unit: int, runs: Sequence[Run], frame: PageFrame) -> list[Run]:
        """Leave out what stands in the margins of page after page."""
        self._margins[unit] = margin_rows(runs, frame.height)
        if not self._margins[unit]:
            return list(runs)
        first, last = max(1, unit - NEIGHBOURS), min(len(self._document), unit + NEIGHBOURS)
        neighbours = {other - unit: self._margin(other) for other in range(first, last + 1) if other != unit}
        return without_margins(runs, frame.height, neighbours)

    def _margin(self, unit: int) -> tuple[MarginRow, ...]:
        if unit not in self._margins:
            with self._page(unit) as page:
                frame = PageFrame(page)
                self._margins[unit] = margin_rows(page_runs(page, frame), frame.height)
        return self._margins[unit]

    def _text_read(self, unit: int, page: Any, frame: PageFrame, runs: Sequence[Run]) -> None:
        if not runs:
            return
        for run in runs:
            self._sizes[round(run.size * 2) / 2] += len(run.text)
        self._body_size = self._sizes.most_common(1)[0][0]
        body_bold = sum(len(run.text) for run in runs if run.bold) > 0.5 * sum(len(run.text) for run in runs)
        for item in page_items(runs, page_rules(page, frame)):
            anchor = Anchor(page=unit, box=_box(item.rect, frame))
            if isinstance(item, Table):
                self.blocks.append(TextBlock(text=item.text, anchor=anchor, role="table", heading_path=self._titles()))
            elif item.text.strip():
                self._paragraph_keep(item, anchor, body_bold=body_bold)

    def _paragraph_keep(self, item: Paragraph, anchor: Anchor, *, body_bold: bool) -> None:
        text = item.text.strip()
        if self._is_heading(item, body_bold=body_bold):
            heading = _Heading(item.size, item.bold, text)
            while self._path and not self._path[-1].encloses(heading):
                self._path.pop()
            self.blocks.append(TextBlock(text=text, anchor=anchor, role="heading", heading_path=self._titles()))
            self._path.append(heading)
        elif _CAPTION.match(text):
            self.blocks.append(TextBlock(text=text, anchor=anchor, role="caption", heading_path=self._titles()))
        elif item.bullet:
            self.blocks.append(TextBlock(text=text, anchor=anchor, role="list", heading_path=self._titles()))
        else:
            self.blocks.append(TextBlock(text=text, anchor=anchor, heading_path=self._titles()))

    def _is_heading(self, item: Paragraph, *, body_bold: bool) -> bool:
        text = item.text
        if len(text) > _HEADING_CHARS or item.lines > _HEADING_LINES or not any(char.isalpha() for char in text):
            return False
        if item.size >= _HEADING_RATIO * self._body_size:
            return True
        heavy = item.bold and not body_bold and item.size >= 0.95 * self._body_size
        return heavy and item.lines == 1 and len(text) <= 90 and not text.endswith((".", ",", ";", ":"))

    def _titles(self) -> tuple[str, ...]:
        return tuple(heading.title for heading in self._path)

    # ------------------------------------------------------------ pictures

    def _render_keep(self, unit: int, page: Any, frame: PageFrame) -> None:
        scale = self._limits.page_edge_px / max(frame.width, frame.height)
        self._keep(f"page-{unit}.png", self._rendered(page, frame, scale), unit, _WHOLE, "page", reads=False)

    def _scan_keep(self, unit: int, page: Any, frame: PageFrame) -> None:
        scale = self._limits.ocr_dpi / _POINTS_PER_INCH
        self._keep(f"page-{unit}.png", self._rendered(page, frame, scale), unit, _WHOLE, "page", reads=True)

    def _pictures_keep(self, unit: int, page: Any, frame: PageFrame, images: Sequence[tuple[Rect, float]]) -> None:
        large = [(rect, dpi) for rect, dpi in images if _is_large(rect, dpi, frame)]
        for number, (rect, dpi) in enumerate(large[: self._limits.pictures], start=1):
            edge_scale = self._limits.ocr_edge_px / max(rect.width, rect.height)
            scale = min(min(dpi, _PICTURE_DPI_MAX) / _POINTS_PER_INCH, edge_scale)
            image = self._rendered(page, frame, scale, rect)
            self._keep(f"page-{unit}-picture-{number}.png", image, unit, _box(rect, frame), "picture", reads=True)

    def _rendered(self, page: Any, frame: PageFrame, scale: float, part: Rect | None = None) -> Image.Image:
        wanted = part or Rect(0.0, 0.0, frame.width, frame.height)
        pixels = wanted.width * wanted.height * scale * scale
        if pixels > self._limits.render_pixels:
            scale *= (self._limits.render_pixels / pixels) ** 0.5
        crop = (wanted.x0, frame.height - wanted.y1, frame.width - wanted.x1, wanted.y0)
        bitmap = page.render(scale=scale, crop=tuple(max(0.0, edge) for edge in crop))
        try:
            image: Image.Image = bitmap.to_pil().convert("RGB")
            return image
        finally:
            bitmap.close()

    def _keep(self, name: str, image: Image.Image, unit: int, box: Box, origin: Any, *, reads: bool) -> None:
        self.artefacts[name] = png_bytes(image)
        self.pictures.append(
            Picture(
                artefact=name,
                anchor=Anchor(page=unit, box=box),
                origin=origin,
                needs_ocr=reads,
                needs_caption=reads,
            )
        )


def _is_useful(runs: Sequence[Run]) -> bool:
    """Whether a text layer says something; fonts without a character map give private or control characters."""
    text = "".join(word.text for run in runs for word in run.words)
    letters = sum(char.isalnum() for char in text)
    strange = sum("\ue000" <= char <= "\uf8ff" or char == "\N{REPLACEMENT CHARACTER}" for char in text)
    return letters >= _TEXT_LETTERS_MIN and strange <= (1 - _READABLE_SHARE) * len(text)


def _is_scan(runs: Sequence[Run], images: Sequence[tuple[Rect, float]], frame: PageFrame) -> bool:
    """Whether the page is a picture with no more text than a stamp or page number."""
    letters = sum(char.isalnum() for run in runs for char in run.text)
    covered = max((rect.width * rect.height for rect, _ in images), default=0.0)
    return letters <= _SCAN_LETTERS_MAX and covered >= _SCAN_SHARE * frame.width * frame.height


def _has_content(page: Any) -> bool:
    return int(pdfium.FPDFPage_CountObjects(page)) > 0


def _image_rects(page: Any, frame: PageFrame) -> list[tuple[Rect, float]]:
    """Return (rectangle on the page, resolution in dpi) of every picture."""
    whole = Rect(0.0, 0.0, frame.width, frame.height)
    found: list[tuple[Rect, float]] = []
    for image in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=1):
        rect = frame.rect(*image.get_bounds())
        rect = Rect(max(rect.x0, whole.x0), max(rect.y0, whole.y0), min(rect.x1, whole.x1), min(rect.y1, whole.y1))
        if rect.width <= 1 or rect.height <= 1:
            continue
        width_px, height_px = image.get_px_size()
        dpi = max(width_px, height_px) / max(rect.width, rect.height) * _POINTS_PER_INCH
        found.append((rect, dpi))
    return found


def _is_large(rect: Rect, dpi: float, frame: PageFrame) -> bool:
    shortest_px = min(rect.width, rect.height) / _POINTS_PER_INCH * dpi
    return shortest_px >= _PICTURE_PX and rect.width * rect.height >= _PICTURE_SHARE * frame.width * frame.height


def _box(rect: Rect, frame: PageFrame) -> Box:
    return Box(
        x0=_fraction(rect.x0, frame.width),
        y0=_fraction(rect.y0, frame.height),
        x1=_fraction(rect.x1, frame.width),
        y1=_fraction(rect.y1, frame.height),
    )


def _fraction(value: float, whole: float) -> float:
    return min(1.0, max(0.0, value / whole))
