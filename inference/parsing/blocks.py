"""How parsers put blocks together: text with character anchors, rows of tables, cells of sheets.

In a character-anchored file the whole text is the blocks in reading order, joined by an empty line, so that
``text[start_char:end_char]`` of a block's anchor is the block's text. A picture stands in that text as a placeholder
such as ``[picture 1]``, which is part of ``Extraction.text`` but of no block: nobody searches for the placeholder,
and the picture's anchor is the placeholder's range.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from inference.errors import EmptyInput, LimitExceeded
from inference.parsing.base import Limits, Parsed
from inference.parsing.embedded_picture import PictureShelf
from inference.parsing.encoding import without_controls
from inference.values import Anchor, Extraction, Picture, TextBlock

Role: TypeAlias = Literal["heading", "paragraph", "list", "table", "caption", "code", "turn"]
Row: TypeAlias = Sequence[str]

CELL_JOIN = " | "
SHEET_ROWS = 30
_GAP = "\n\n"
_SPACES = re.compile(r"[^\S\n]+")
_FILE_NAME = re.compile(r"^[\w .()/\\:-]{1,120}\.(png|jpe?g|gif|bmp|tiff?|webp|emf|wmf|svg)$", re.IGNORECASE)
_MADE_UP = re.compile(r"^(picture|image|graphic|photo|grafik|bild|imagen?)?[\W\d_]*$", re.IGNORECASE)


def clean(text: str) -> str:
    """Collapse runs of spaces, trim every line and the whole; drop control characters."""
    lines = (_SPACES.sub(" ", line).strip() for line in without_controls(text).split("\n"))
    return "\n".join(lines).strip()


def flat(text: str) -> str:
    """Clean text on one line, as a heading or a table cell is shown."""
    return " ".join(without_controls(text).split())


def table_text(rows: Iterable[Row]) -> str:
    """Write rows as a table block's text: one row a line, rows without content left out."""
    lines = (CELL_JOIN.join(flat(cell) for cell in row) for row in rows if any(cell.strip() for cell in row))
    return "\n".join(line.strip() for line in lines)


def spoken_alternative(alternative: str | None) -> str:
    """Return a picture's alternative text, or nothing where a program made it up or it is merely a file name."""
    text = flat(alternative or "")
    return "" if _FILE_NAME.match(text) or _MADE_UP.match(text) else text


class Assembly:
    """Collects the blocks, pictures and attachments of a character-anchored file in reading order."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self._texts: list[str] = []
        self._length = 0
        self._blocks: list[TextBlock] = []
        self._pictures: list[Picture] = []
        self._shelf = PictureShelf(limits)
        self._headings: list[tuple[int, str]] = []
        self._attachments: list[tuple[str, str]] = []
        self._files: dict[str, bytes] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return not (self._blocks or self._pictures or self._attachments)

    @property
    def heading_path(self) -> tuple[str, ...]:
        """Titles of the headings that enclose what is added next."""
        return tuple(title for _, title in self._headings)

    def heading(self, text: str, level: int) -> None:
        """Add a heading; headings of the same or a deeper level end with it."""
        title = flat(text)
        if not title:
            return
        self.enter(None, level)
        self._append(title, "heading")
        self._headings.append((level, title))

    def enter(self, title: str | None, level: int) -> None:
        """End headings of this level and deeper ones; enter a title that stands in no block of its own."""
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        if title and flat(title):
            self._headings.append((level, flat(title)))

    def add(self, text: str, role: Role = "paragraph") -> None:
        """Add a block of clean text; nothing is added for text without content."""
        content = clean(text)
        if content:
            self._append(content, role)

    def code(self, text: str) -> None:
        """Add a block whose inner spaces and line ends are kept."""
        content = without_controls(text).expandtabs(4).strip()
        if content:
            self._append(content, "code")

    def table(self, rows: Iterable[Row]) -> None:
        """Add a table, its header row first."""
        content = table_text(rows)
        if content.strip(" |\n"):
            self._append(content, "table")

    def picture(self, data: bytes | None, alternative: str | None = None) -> None:
        """Add an embedded picture where it stands, and its alternative text as a caption."""
        artefact = self._shelf.take(data) if data else None
        if artefact is not None:
            start, end = self._place(f"[picture {len(self._pictures) + 1}]")
            self._pictures.append(
                Picture(
                    artefact=artefact,
                    anchor=Anchor(start_char=start, end_char=end),
                    origin="picture",
                    needs_ocr=True,
                    needs_caption=True,
                )
            )
        self.add(spoken_alternative(alternative), "caption")

    def attachment(self, file_name: str, data: bytes) -> None:
        """Add a file that becomes a part of its own.

        Raises:
            LimitExceeded: It is one too many, or all together are too large.
        """
        unpacked = sum(map(len, self._files.values())) + len(data)
        if len(self._files) >= self.limits.attachments or unpacked > self.limits.unpacked_bytes:
            raise LimitExceeded(
                f"'{self.name}' carries more than {self.limits.attachments} files or {self.limits.unpacked_bytes} bytes"
            )
        artefact = f"attachment-{len(self._files) + 1}"
        self._files[artefact] = data
        self._attachments.append((flat(file_name) or artefact, artefact))

    def parsed(self) -> Parsed:
        """Return everything that was added.

        Raises:
            EmptyInput: There was no text, picture or attachment.
        """
        if self.is_empty:
            raise EmptyInput(f"'{self.name}' holds no text and no pictures")
        return Parsed(
            extraction=Extraction(
                blocks=tuple(self._blocks),
                pictures=tuple(self._pictures),
                attachments=tuple(self._attachments),
                text=_GAP.join(self._texts),
            ),
            artefacts=self._shelf.artefacts | self._files,
        )

    def _append(self, text: str, role: Role) -> None:
        start, end = self._place(text)
        self._blocks.append(
            TextBlock(
                text=text,
                anchor=Anchor(start_char=start, end_char=end),
                role=role,
                heading_path=self.heading_path,
            )
        )

    def _place(self, text: str) -> tuple[int, int]:
        start = self._length + (len(_GAP) if self._texts else 0)
        self._texts.append(text)
        self._length = start + len(text)
        if self._length > self.limits.text_chars:
            raise LimitExceeded(f"'{self.name}' holds more than {self.limits.text_chars} characters of text")
        return start, self._length
