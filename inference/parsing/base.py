"""What every parser module offers: ``probe`` says what a file holds, ``parse`` reads a range of it.

A parser module has exactly these two functions:

    def probe(path: Path, hint: str) -> SourceInfo
    def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed

``hint`` is the canonical extension that sniffing found in the bytes (never the file's own name). Both run inside a
sandboxed child: no network, no writing outside ``tempfile.gettempdir()``, bounded time and memory. They raise the
InputRejected family of ``inference.errors`` with a sentence that names the file (``path.name``); anything else that
escapes them is reported as a damaged file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from inference.values import Extraction, SourceInfo


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Declared limits of one parse; beyond them a parser raises LimitExceeded or stops where it says so.

    Attributes:
        page_edge_px: Long edge of a page render for the ``image_text`` space.
        ocr_dpi: Resolution of a page rendered for OCR.
        ocr_edge_px: Long edge of a picture handed to OCR.
        render_pixels: Most pixels of one page render; larger pages are rendered at a lower resolution.
        picture_pixels: Most pixels a picture file may decode to.
        pictures: Most embedded pictures taken from one unit.
        frames_per_minute: Most video frames kept per minute.
        text_chars: Most characters of extracted text.
        unpacked_bytes: Most bytes a container (zip, mail, e-book) may unpack to.
        attachments: Most files taken out of one file.
    """

    page_edge_px: int = 768
    ocr_dpi: int = 150
    ocr_edge_px: int = 2_000
    render_pixels: int = 24_000_000
    picture_pixels: int = 200_000_000
    pictures: int = 20
    frames_per_minute: int = 12
    text_chars: int = 20_000_000
    unpacked_bytes: int = 1_073_741_824
    attachments: int = 200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ParseRequest:
    """Which range of a file is wanted.

    Attributes:
        first_unit: First page, slide or frame, counted from 1.
        last_unit: Last one, inclusive; None for the end.
        start_s: Start of a media window; None for the beginning.
        end_s: Exclusive end of a media window; None for the end.
        limits: Declared limits.
    """

    first_unit: int = 1
    last_unit: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    limits: Limits = dataclasses.field(default_factory=Limits)

    def units(self, total: int) -> range:
        """Return the 1-based numbers of this range in a file of ``total`` units."""
        last = total if self.last_unit is None else min(self.last_unit, total)
        return range(max(1, self.first_unit), last + 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a parser read, and the bytes (pictures, sound, attachments) that it names."""

    extraction: Extraction
    artefacts: dict[str, bytes] = dataclasses.field(default_factory=dict)


class Parser(Protocol):
    """The shape of a parser module."""

    def probe(self, path: Path, hint: str) -> SourceInfo:
        """Say what the file holds, reading as little of it as needed.

        Args:
            path: The file.
            hint: Canonical extension found from its bytes, such as ``pdf``.

        Raises:
            DamagedFile: It cannot be read as that kind.
            EncryptedFile: A password is needed.
            EmptyInput: There is nothing in it.
            LimitExceeded: It is larger than the parser's limits.
        """
        ...

    def parse(self, path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
        """Read one range; same errors as ``probe``."""
        ...
