"""The text layer of a PDF page as runs of words with rectangles, and the ruling lines drawn on it."""

from __future__ import annotations

import ctypes
import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

import pypdfium2.raw as pdfium

_DEVICE = 1_000_000
_HYPHEN_AT_LINE_END = "\x02"
_BOLD_WEIGHT = 600
_GAP_EM = 1.1
_RULE_THICKNESS_PT = 3.0
_RULE_LENGTH_PT = 8.0
_PATHS_MAX = 4_000
_SEGMENTS_MAX = 400


@dataclasses.dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in points, origin at the top left of the page as it is shown."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Extent from left to right."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Extent from top to bottom."""
        return self.y1 - self.y0

    @property
    def middle(self) -> tuple[float, float]:
        """Centre point."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def union(self, other: Rect) -> Rect:
        """Return the smallest rectangle around both."""
        return Rect(min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1))

    def holds(self, point: tuple[float, float], slack: float = 0.0) -> bool:
        """Whether a point lies inside, or at most ``slack`` outside."""
        x, y = point
        return self.x0 - slack <= x <= self.x1 + slack and self.y0 - slack <= y <= self.y1 + slack


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """Characters without white space between them."""

    text: str
    rect: Rect


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Words that stand together on one line.

    Attributes:
        words: At least one.
        rect: Around all words.
        size: Height of the line of its usual font in points.
        base: Bottom of most of its characters, which other fonts inside the line do not move.
        bold: Most of its words are heavy.
        hyphen: Its last word goes on in the next line.
    """

    words: tuple[Word, ...]
    rect: Rect
    size: float
    base: float
    bold: bool
    hyphen: bool = False

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(word.text for word in self.words)


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """Lines drawn on a page: (y, x0, x1) across, (x, y0, y1) down."""

    across: tuple[tuple[float, float, float], ...]
    down: tuple[tuple[float, float, float], ...]


class PageFrame:
    """Maps the page's own coordinates to points from the top left of the page as shown (rotation, crop box)."""

    def __init__(self, page: Any) -> None:
        width, height = page.get_size()
        self.width, self.height = float(width), float(height)
        origin, right, up = (self._device(page, x, y) for x, y in ((0, 0), (1000, 0), (0, 1000)))
        self._origin = origin
        self._right = ((right[0] - origin[0]) / 1000, (right[1] - origin[1]) / 1000)
        self._up = ((up[0] - origin[0]) / 1000, (up[1] - origin[1]) / 1000)

    def _device(self, page: Any, x: float, y: float) -> tuple[float, float]:
        device_x, device_y = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, _DEVICE, _DEVICE, 0, x, y, device_x, device_y)
        return device_x.value / _DEVICE * self.width, device_y.value / _DEVICE * self.height

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Map one point."""
        return (
            self._origin[0] + x * self._right[0] + y * self._up[0],
            self._origin[1] + x * self._right[1] + y * self._up[1],
        )

    def rect(self, left: float, bottom: float, right: float, top: float) -> Rect:
        """Map a rectangle."""
        (xa, ya), (xb, yb) = self.point(left, bottom), self.point(right, top)
        return Rect(min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb))


@dataclasses.dataclass(slots=True)
class _Char:
    text: str
    rect: Rect
    size: float


class _Collector:
    """Puts characters together to words and words to runs."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._chars: list[_Char] = []
        self._words: list[Word] = []
        self._sizes: list[float] = []
        self._bases: list[float] = []
        self._heavy: list[bool] = []

    def add(self, char: _Char) -> bool:
        """Take one character; say whether it begins a word."""
        last = self._chars[-1].rect if self._chars else self._words[-1].rect if self._words else None
        if last is not None and _apart(last, char):
            self.end_run()
        self._chars.append(char)
        self._sizes.append(char.size)
        self._bases.append(char.rect.y1)
        return len(self._chars) == 1

    def weight(self, *, bold: bool) -> None:
        self._heavy.append(bold)

    def end_word(self) -> None:
        if self._chars:
            rect = self._chars[0].rect
            for char in self._chars[1:]:
                rect = rect.union(char.rect)
            self._words.append(Word("".join(char.text for char in self._chars), rect))
            self._chars = []

    def end_run(self, *, hyphen: bool = False) -> None:
        self.end_word()
        if self._words:
            rect = self._words[0].rect
            for word in self._words[1:]:
                rect = rect.union(word.rect)
            bold = sum(self._heavy) > len(self._heavy) / 2
            size, base = statistics.median(self._sizes), statistics.median(self._bases)
            self.runs.append(Run(tuple(self._words), rect, size, base, bold, hyphen))
        self._words = []
        self._sizes = []
        self._bases = []
        self._heavy = []


def page_runs(page: Any, frame: PageFrame) -> list[Run]:
    """Return the runs of a page's text layer, in the order of the file; text outside the page is left out."""
    textpage = page.get_textpage()
    collector = _Collector()
    try:
        for index in range(max(0, pdfium.FPDFText_CountChars(textpage))):
            code = pdfium.FPDFText_GetUnicode(textpage, index)
            text = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
            if text in (_HYPHEN_AT_LINE_END, "\xad"):
                collector.end_run(hyphen=True)
            elif text in ("\r", "\n"):
                collector.end_run()
            elif not text or text.isspace():
                collector.end_word()
            elif code >= 32 and code not in (0xFFFE, 0xFFFF):
                char = _Char(text, *_place(textpage, index, frame))
                if _on_page(char.rect, frame) and collector.add(char):
                    collector.weight(bold=_is_bold(textpage, index))
        collector.end_run()
    finally:
        textpage.close()
    return collector.runs


def page_rules(page: Any, frame: PageFrame) -> Rules:
    """Return the straight lines and thin or outlined rectangles drawn on a page."""
    across: list[tuple[float, float, float]] = []
    down: list[tuple[float, float, float]] = []
    for number, found in enumerate(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_PATH], max_depth=1)):
        if number >= _PATHS_MAX:
            break
        for rect in _strokes(found, frame):
            if rect.height <= _RULE_THICKNESS_PT and rect.width >= _RULE_LENGTH_PT:
                across.append((rect.middle[1], rect.x0, rect.x1))
            elif rect.width <= _RULE_THICKNESS_PT and rect.height >= _RULE_LENGTH_PT:
                down.append((rect.middle[0], rect.y0, rect.y1))
    return Rules(tuple(across), tuple(down))


def _strokes(found: Any, frame: PageFrame) -> Iterator[Rect]:
    whole = frame.rect(*found.get_bounds())
    if min(whole.width, whole.height) <= _RULE_THICKNESS_PT:
        yield whole
        return
    matrix = found.get_matrix()
    previous: tuple[float, float] | None = None
    first: tuple[float, float] | None = None
    for index in range(min(_SEGMENTS_MAX, pdfium.FPDFPath_CountSegments(found))):
        segment = pdfium.FPDFPath_GetPathSegment(found, index)
        x, y = ctypes.c_float(), ctypes.c_float()
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        point = frame.point(*matrix.on_point(x.value, y.value))
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            first = point
        elif kind == pdfium.FPDF_SEGMENT_LINETO and previous is not None:
            yield _between(previous, point)
        if pdfium.FPDFPathSegment_GetClose(segment) and first is not None:
            yield _between(point, first)
        previous = point


def _between(start: tuple[float, float], end: tuple[float, float]) -> Rect:
    return Rect(min(start[0], end[0]), min(start[1], end[1]), max(start[0], end[0]), max(start[1], end[1]))


def _place(textpage: Any, index: int, frame: PageFrame) -> tuple[Rect, float]:
    box = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(textpage, index, box)
    rect = frame.rect(box.left, box.bottom, box.right, box.top)
    return rect, rect.height


def _is_bold(textpage: Any, index: int) -> bool:
    if int(pdfium.FPDFText_GetFontWeight(textpage, index)) >= _BOLD_WEIGHT:
        return True
    buffer = ctypes.create_string_buffer(256)
    flags = ctypes.c_int()
    length = pdfium.FPDFText_GetFontInfo(textpage, index, buffer, 256, flags)
    name = buffer.raw[: max(0, length - 1)].lower() if length <= 256 else b""
    return any(weight in name for weight in (b"bold", b"black", b"heavy"))


def _on_page(rect: Rect, frame: PageFrame) -> bool:
    x, y = rect.middle
    return 0 <= x <= frame.width and 0 <= y <= frame.height


def _apart(last: Rect, char: _Char) -> bool:
    em = max(char.rect.height, last.height, 1.0) * 0.8
    overlap = min(last.y1, char.rect.y1) - max(last.y0, char.rect.y0)
    if overlap < 0.3 * min(last.height, char.rect.height):
        return True
    gap = char.rect.x0 - last.x1
    return gap > _GAP_EM * em or gap < -3 * em
