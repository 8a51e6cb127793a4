"""HTML: headings, paragraphs, lists, tables and embedded pictures; nothing is fetched, no script or style is read."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_to_bytes

from lxml import etree
from lxml import html as lxml_html

from inference.errors import DamagedFile, EmptyInput, LimitExceeded
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Assembly, flat
from inference.parsing.encoding import decoded
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import SourceInfo

PictureSource: TypeAlias = Callable[[str], bytes | None]
"""Finds the bytes behind a picture's address inside the same file; None when they are elsewhere."""

_DROPPED: Final = frozenset({
    "script", "style", "noscript", "template", "nav", "svg", "math-ml", "iframe", "object", "embed", "applet", "head",
    "link", "meta", "canvas", "audio", "video", "datalist", "select",
})  # fmt: skip
_INLINE: Final = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn",
    "em", "font", "i", "ins", "kbd", "label", "mark", "math", "output", "q", "rp", "rt",
    "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
    "var", "wbr", "button", "meter", "progress", "nobr", "annotation", "mi", "mn", "mo", "mrow", "msup",
    "msub", "mtext", "mfrac", "semantics",
})  # fmt: skip
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# Generators of documentation put such a mark beside every heading; it shows under the pointer only.
_PERMALINKS: Final = frozenset({"\N{PILCROW SIGN}", "#", "\N{LINK SYMBOL}"})
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_PROLOGUE_BYTES = 4_096
_DEPTH = 200


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the title."""
    root = html_root(_text(read_bytes(path)), path.name)
    return source_info(hint, title=title_of(root))


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the whole page."""
    assembly = Assembly(path.name, request.limits)
    add_page(assembly, html_root(_text(read_bytes(path)), path.name), data_picture)
    return assembly.parsed()


def add_page(assembly: Assembly, root: Any, pictures: PictureSource) -> None:
    """Add a page: its title as the outermost heading unless a heading of the page says the same, then its body."""
    title = title_of(root)
    headings = {flat(heading.text_content()) for heading in root.iter("h1", "h2")}
    if title and title not in headings:
        assembly.heading(title, 0)
    add_markup(assembly, root, pictures)


def add_markup(assembly: Assembly, root: Any, pictures: PictureSource) -> None:
    """Add the blocks of an element and everything in it."""
    _Walk(assembly, pictures).block(root, 0)


def html_root(text: str, name: str) -> Any:
    """Parse HTML of any quality.

    Raises:
        EmptyInput: There is no element in it.
        LimitExceeded: It nests deeper than libxml2's limit.
    """
    parser = lxml_html.HTMLParser(
        encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = lxml_html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError as error:
        raise EmptyInput(f"'{name}' holds no content") from error
    except (etree.LxmlError, ValueError) as error:
        raise DamagedFile(f"'{name}' cannot be read as HTML: {error}") from error
    # libxml2 mends everything but what exceeds its limits: there it stops and drops the rest.
    if any(entry.level_name == "FATAL" for entry in parser.error_log):
        raise LimitExceeded(f"'{name}' nests its elements too deep: {parser.error_log.last_error.message}")
    return root


def title_of(root: Any) -> str | None:
    """Return the page's title."""
    title = root.find(".//title")
    return flat(title.text_content()) or None if title is not None else None


def data_picture(address: str) -> bytes | None:
    """Return the bytes of a ``data:`` address."""
    if not address.startswith("data:"):
        return None
    kind, _, content = address.partition(",")
    if not kind.rstrip().endswith(";base64"):
        return unquote_to_bytes(content)
    try:
        return base64.b64decode(re.sub(r"\s", "", content) + "==")
    except binascii.Error:
        return None


def _text(data: bytes) -> str:
    declared = _CHARSET.search(data[:_PROLOGUE_BYTES])
    return decoded(data, declared=declared.group(1).decode("ascii") if declared else None)


class _Walk:
    """Walks elements depth first; text of inline elements gathers until a block begins or ends."""

    def __init__(self, assembly: Assembly, pictures: PictureSource) -> None:
        self._assembly = assembly
        self._pictures = pictures
        self._inline: list[str] = []
        self._waiting: list[Any] = []

    def block(self, element: Any, depth: int) -> None:
        """Add what a block-level element holds."""
        self._flush()
        self._content(element, depth)
        self._flush()

    def _content(self, element: Any, depth: int) -> None:
        self._inline.append(_spaced(element.text))
        for child in element:
            self._child(child, depth + 1)
            self._inline.append(_spaced(child.tail))

    def _child(self, child: Any, depth: int) -> None:
        tag = child.tag if isinstance(child.tag, str) else ""
        if depth > _DEPTH:
            self._inline.append(_spaced(child.text_content()))
        elif not tag or tag in _DROPPED or _is_hidden(child):
            return
        elif tag == "br":
            self._inline.append("\n")
        elif tag in ("img", "image"):
            self._waiting.append(child)
        elif tag in _INLINE:
            self._content(child, depth)
        else:
            self._flush()
            self._block_of(tag, child, depth)

    def _block_of(self, tag: str, element: Any, depth: int) -> None:
        if tag in _HEADINGS:
            self._assembly.heading(_visible(element), _HEADINGS[tag])
            self._pictures_in(element)
        elif tag in ("ul", "ol", "menu") and element.find(".//table") is None:
            self._assembly.add("\n".join(_list_lines(element, 0)), "list")
            self._pictures_in(element)
        elif tag == "pre":
            self._assembly.code(_preformatted(element))
        elif tag == "table" and not _is_layout(element):
            self._table(element)
        elif tag in ("figcaption", "caption"):
            self._assembly.add(_visible(element), "caption")
        else:
            self.block(element, depth)

    def _table(self, table: Any) -> None:
        for caption in table.iterchildren("caption"):
            self._assembly.add(_visible(caption), "caption")
        self._assembly.table(_table_rows(table))
        self._pictures_in(table)

    def _pictures_in(self, element: Any) -> None:
        self._waiting.extend(element.iter("img"))
        self._flush()

    def _flush(self) -> None:
        self._assembly.add("".join(self._inline))
        self._inline.clear()
        for picture in self._waiting:
            self._assembly.picture(self._pictures(picture.get("src") or ""), picture.get("alt"))
        self._waiting.clear()


def _spaced(text: str | None) -> str:
    return re.sub(r"\s+", " ", text) if text else ""


def _is_hidden(element: Any) -> bool:
    if element.get("hidden") is not None or _HIDDEN.search(element.get("style") or ""):
        return True
    return element.tag == "a" and element.text_content().strip() in _PERMALINKS


def _preformatted(element: Any) -> str:
    for line_break in element.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    return str(element.text_content())


def _visible(element: Any, *, without: frozenset[str] = frozenset()) -> str:
    pieces: list[str] = [_spaced(element.text)]
    for child in element:
        tag = child.tag if isinstance(child.tag, str) else ""
        if tag and tag not in _DROPPED and tag not in without and not _is_hidden(child):
            edge = "" if tag in _INLINE else " "
            pieces.append(edge + _visible(child, without=without) + edge)
        pieces.append(_spaced(child.tail))
    return "".join(pieces)


_LISTS: Final = frozenset({"ul", "ol", "menu"})


def _list_lines(listing: Any, depth: int) -> list[str]:
    lines: list[str] = []
    for item in listing:
        if not isinstance(item.tag, str) or _is_hidden(item):
            continue
        if item.tag in _LISTS:
            lines += _list_lines(item, depth + 1)
            continue
        said = flat(_visible(item, without=_LISTS))
        lines += [f"- {said}"] if said else []
        for inner in item.iter(*_LISTS):
            if _nearest(inner.getparent(), _LISTS | {"li"}) is item:
                lines += _list_lines(inner, depth + 1)
    return lines


def _nearest(element: Any, tags: frozenset[str]) -> Any:
    while element is not None and element.tag not in tags:
        element = element.getparent()
    return element


def _is_layout(table: Any) -> bool:
    if next(table.iterdescendants("table"), None) is not None:
        return True
    widths = [sum(1 for _ in row.iterchildren("td", "th")) for row in table.iter("tr")]
    return max(widths, default=0) < 2 and next(table.iter("th"), None) is None


def _table_rows(table: Any) -> list[list[str]]:
    rows: list[list[str]] = []
    spans: dict[int, tuple[int, str]] = {}
    for row in table.iter("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            _spanned(cells, spans)
            text = flat(_visible(cell))
            if (down := _span(cell, "rowspan")) > 1:
                spans[len(cells)] = (down - 1, text)
            cells += [text] + [""] * (_span(cell, "colspan") - 1)
        _spanned(cells, spans)
        rows.append(cells)
    return rows


def _spanned(cells: list[str], spans: dict[int, tuple[int, str]]) -> None:
    # A cell that spans rows is repeated, so that each row reads on its own.
    while len(cells) in spans:
        left, text = spans.pop(len(cells))
        if left > 1:
            spans[len(cells)] = (left - 1, text)
        cells.append(text)


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1").strip()
    return min(int(value), 1_000) if value.isascii() and value.isdigit() and int(value) else 1
