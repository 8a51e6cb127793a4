"""Which parser module reads which kind of file; modules are imported when first needed."""

from __future__ import annotations

import dataclasses
import importlib
from typing import cast

from inference.errors import UnsupportedFormat
from inference.parsing.base import Parser
from inference.values import SourceInfo


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of file that can be ingested.

    Attributes:
        extension: Canonical extension, without dot.
        media_type: IANA media type.
        family: As in ``SourceInfo.family``.
        module: Parser module inside ``inference.parsing``.
        aliases: Other usual extensions of the same kind.
    """

    extension: str
    media_type: str
    family: str
    module: str
    aliases: tuple[str, ...] = ()


_OOXML = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"

_ROWS: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("pdf", "application/pdf", "pdf", "pdf", ()),
    ("png", "image/png", "image", "picture", ()),
    ("jpg", "image/jpeg", "image", "picture", ("jpeg", "jpe")),
    ("tiff", "image/tiff", "image", "picture", ("tif",)),
    ("webp", "image/webp", "image", "picture", ()),
    ("bmp", "image/bmp", "image", "picture", ("dib",)),
    ("gif", "image/gif", "image", "picture", ()),
    ("heic", "image/heic", "image", "picture", ("heif",)),
    ("wav", "audio/wav", "audio", "media", ("wave",)),
    ("mp3", "audio/mpeg", "audio", "media", ()),
    ("flac", "audio/flac", "audio", "media", ()),
    ("ogg", "audio/ogg", "audio", "media", ("oga", "opus")),
    ("m4a", "audio/mp4", "audio", "media", ()),
    ("aac", "audio/aac", "audio", "media", ()),
    ("mp4", "video/mp4", "video", "media", ("m4v",)),
    ("mkv", "video/matroska", "video", "media", ()),
    ("mov", "video/quicktime", "video", "media", ("qt",)),
    ("webm", "video/webm", "video", "media", ()),
    ("avi", "video/x-msvideo", "video", "media", ()),
    ("ts", "video/mp2t", "video", "media", ("mts", "m2ts")),
    ("docx", f"{_OOXML}.wordprocessingml.document", "office", "office_docx", ()),
    ("xlsx", f"{_OOXML}.spreadsheetml.sheet", "sheet", "office_xlsx", ()),
    ("pptx", f"{_OOXML}.presentationml.presentation", "slides", "office_pptx", ()),
    ("odt", f"{_ODF}.text", "office", "opendocument", ()),
    ("ods", f"{_ODF}.spreadsheet", "sheet", "opendocument", ()),
    ("odp", f"{_ODF}.presentation", "slides", "opendocument", ()),
    ("html", "text/html", "markup", "html", ("htm", "xhtml")),
    ("md", "text/markdown", "markup", "markdown", ("markdown",)),
    ("txt", "text/plain", "text", "plain", ("text", "log")),
    ("csv", "text/csv", "sheet", "tabular", ()),
    ("tsv", "text/tab-separated-values", "sheet", "tabular", ("tab",)),
    ("json", "application/json", "text", "structured", ()),
    ("xml", "application/xml", "markup", "structured", ()),
    ("rst", "text/x-rst", "markup", "rst", ()),
    ("rtf", "application/rtf", "markup", "rtf", ()),
    ("eml", "message/rfc822", "mail", "mail_eml", ()),
    ("msg", "application/vnd.ms-outlook", "mail", "mail_msg", ()),
    ("epub", "application/epub+zip", "markup", "epub", ()),
    ("vtt", "text/vtt", "subtitle", "subtitle", ()),
    ("srt", "application/x-subrip", "subtitle", "subtitle", ()),
    ("doc", "application/msword", "office", "legacy", ()),
    ("xls", "application/vnd.ms-excel", "sheet", "legacy", ()),
    ("ppt", "application/vnd.ms-powerpoint", "slides", "legacy", ()),
)

KINDS: dict[str, Kind] = {
    extension: Kind(extension=extension, media_type=media_type, family=family, module=module, aliases=aliases)
    for extension, media_type, family, module, aliases in _ROWS
}
_ALIASES = {alias: kind.extension for kind in KINDS.values() for alias in (kind.extension, *kind.aliases)}


def canonical_extension(name: str) -> str | None:
    """Return the canonical extension of one such as ``.JPEG`` or ``htm``; None when it is no kind of ours."""
    return _ALIASES.get(name.lower().lstrip("."))


def source_info(
    extension: str, *, units: int = 1, duration_s: float | None = None, title: str | None = None
) -> SourceInfo:
    """Make the SourceInfo of a kind; parser modules call this at the end of ``probe``."""
    kind = KINDS[extension]
    return SourceInfo(
        media_type=kind.media_type,
        family=kind.family,
        extension=extension,
        units=units,
        duration_s=duration_s,
        title=title,
    )


def parser_for_extension(extension: str) -> Parser:
    """Import the parser module of a canonical extension.

    Raises:
        UnsupportedFormat: No parser reads this kind.
    """
    kind = KINDS.get(extension)
    if kind is None:
        raise UnsupportedFormat(f"files of kind '{extension}' cannot be read; see the table of formats in README.md")
    return cast(Parser, importlib.import_module(f"inference.parsing.{kind.module}"))


def parser_for(info: SourceInfo) -> Parser:
    """Import the parser module that reads a file of this kind."""
    return parser_for_extension(info.extension)
