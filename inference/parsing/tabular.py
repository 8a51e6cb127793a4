"""Comma-, semicolon-, tab- and bar-separated values as one sheet named ``Sheet1``.

Rows are numbered as a spreadsheet program shows them: one per record, also where a quoted cell has several lines.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from inference.errors import DamagedFile, EmptyInput, LimitExceeded
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import flat
from inference.parsing.encoding import decoded
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.parsing.sheet import SheetRow, sheet_blocks
from inference.values import Extraction, SourceInfo

SHEET = "Sheet1"
_DELIMITERS = ",;\t|"
_SAMPLE_CHARS = 65_536
_CELL_CHARS = 10_000_000


def probe(path: Path, hint: str) -> SourceInfo:
    """Say that it is a table; an empty file is EmptyInput."""
    read_bytes(path)
    return source_info(hint)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Read all records as the rows of one sheet."""
    text = decoded(read_bytes(path))
    if len(text) > request.limits.text_chars:
        raise LimitExceeded(f"'{path.name}' holds more than {request.limits.text_chars} characters of text")
    delimiter = "\t" if info.extension == "tsv" and "\t" in text else delimiter_of(text)
    try:
        blocks = tuple(sheet_blocks(SHEET, _rows(text, delimiter), ()))
    except csv.Error as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a table: {error}") from error
    if not blocks:
        raise EmptyInput(f"'{path.name}' holds no cell with content")
    return Parsed(extraction=Extraction(blocks=blocks))


def delimiter_of(text: str) -> str:
    """Return the delimiter that gives the most records of the same number of cells, at least two."""
    declared = text[:6].lower()
    if declared.startswith("sep=") and len(declared) > 4 and declared[4] in _DELIMITERS:
        return declared[4]
    sample = text[:_SAMPLE_CHARS]
    if len(text) > _SAMPLE_CHARS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    scores = {delimiter: _score(sample, delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: scores[delimiter])
    return best if scores[best] > (0.0, 0) else ","


def _score(sample: str, delimiter: str) -> tuple[float, int]:
    widths = Counter(len(record) for record in _records(sample, delimiter) if record)
    if not widths:
        return 0.0, 0
    width, records = max(widths.items(), key=lambda item: (item[1] if item[0] > 1 else 0, item[0]))
    return (records / widths.total(), width) if width > 1 else (0.0, 0)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(_CELL_CHARS)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)


def _rows(text: str, delimiter: str) -> Iterator[SheetRow]:
    for number, record in enumerate(_records(text, delimiter), 1):
        if number == 1 and len(record) <= 2 and record and record[0].lower().startswith("sep="):
            continue
        yield SheetRow(number, [flat(cell) for cell in record])
