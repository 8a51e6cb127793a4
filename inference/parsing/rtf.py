"""Rich text: paragraphs, table rows and embedded pictures; headings are not marked in RTF and read as paragraphs.

The positions of pictures are lost by the conversion, so that they stand behind the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from striprtf.striprtf import rtf_to_text

from inference.errors import DamagedFile
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Assembly, clean
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_BULLET = re.compile(r"^\s*(?:[•·◦▪–-]|\d{1,3}[.)])\s+\S")
_PICTURE = re.compile(r"\\(?:pngblip|jpegblip)\b((?:\\[a-z]+-?\d*\s?|\{\\\*[^{}]*\}|\s)*)([0-9a-fA-F\s]{64,})")
_TITLE = re.compile(r"\{\\title\s+([^{}\\]+)\}")
_CODEPAGE = re.compile(r"\\ansicpg(\d{3,5})")


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the title."""
    title = _TITLE.search(_source(path))
    return source_info(hint, title=clean(title.group(1)) or None if title else None)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the whole file."""
    source = _source(path)
    assembly = Assembly(path.name, request.limits)
    for rows, paragraph in _pieces(_plain(source, path.name)):
        if rows:
            assembly.table(rows)
        else:
            assembly.add(paragraph, "list" if _BULLET.match(paragraph) else "paragraph")
    for found in _PICTURE.finditer(source):
        digits = re.sub(r"\s", "", found.group(2))
        assembly.picture(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    return assembly.parsed()


def _source(path: Path) -> str:
    source = read_bytes(path).decode("latin-1")
    if not source.lstrip().startswith("{\\rtf"):
        raise DamagedFile(f"'{path.name}' does not begin like rich text")
    if source.count("}") == 0:
        raise DamagedFile(f"'{path.name}' is cut off: its first group never ends")
    return source


def _plain(source: str, name: str) -> str:
    declared = _CODEPAGE.search(source)
    encoding = f"cp{declared.group(1)}" if declared else "cp1252"
    try:
        text = rtf_to_text(source, encoding=encoding, errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, IndexError, KeyError, UnicodeError) as error:
        raise DamagedFile(f"'{name}' cannot be read as rich text: {error}") from error
    # Symbol fonts put their bullets where Unicode has no characters.
    return str(text).replace("\xad", "").replace("\xa0", " ").replace("\uf0b7", "•").replace("\uf0a7", "•")


def _pieces(text: str) -> Iterator[tuple[list[list[str]], str]]:
    rows: list[list[str]] = []
    for line in text.split("\n"):
        if line.rstrip().endswith("|"):
            rows.append([cell.strip() for cell in line.rstrip()[:-1].split("|")])
            continue
        if rows:
            yield rows, ""
            rows = []
        if line.strip():
            yield [], line
    if rows:
        yield rows, ""
