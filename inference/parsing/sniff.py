"""What a file is, from its bytes: magika, puremagic and a look at the structure, two of which must agree.

The extension of its name decides only between kinds of plain text.
"""

from __future__ import annotations

import functools
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from inference.errors import DamagedFile, EmptyInput, EncryptedFile, UnsupportedFormat
from inference.parsing.registry import KINDS, canonical_extension
from inference.parsing.signature import ISO_MEDIA, MATROSKA, signature_kind

_HEAD_BYTES = 256 * 1024
_JSON_MAX_BYTES = 64 * 1024 * 1024
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_WEAK_TEXT_KINDS = ("txt", "md", "rst", "csv", "tsv")

_BEGINNINGS = (
    (re.compile(r"\{\\rtf"), "rtf"),
    (re.compile(r"WEBVTT(\s|$)"), "vtt"),
    (re.compile(r"\d+\s*\r?\n\s*\d{1,2}:\d\d:\d\d[,.]\d{1,3}\s*-->"), "srt"),
)
_HTML = re.compile(r"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_XML_START = re.compile(r"\s*(<\?xml\b|<!DOCTYPE\b|<[A-Za-z_][\w.:-]*[\s/>])")
_TAG = re.compile(r"<(p|div|h[1-6]|body|head|table|ul|ol|span|a|title|br)\b[^>]*>", re.IGNORECASE)
_MAIL_HEADER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*):[ \t]?\S", re.MULTILINE)
_MAIL_SURE = {"received", "message-id", "mime-version", "return-path", "delivered-to"}
_MAIL_USUAL = {"from", "to", "cc", "subject", "date", "reply-to", "content-type"} | _MAIL_SURE

# Beginnings so short that other files have them by chance: a second opinion must agree.
_WEAK_SIGNATURES = {"mp3", "aac", "bmp", "jpg"}
# Several names of one family of containers; the structure decides which member it is.
_GROUP_OF_MAGIKA = {
    "jpeg": "jpg", "mpegts": "ts", "ogg": "ogg", "opus": "ogg", "mp4": ISO_MEDIA, "m4a": ISO_MEDIA, "m4v": ISO_MEDIA,
    "quicktime": ISO_MEDIA, "mov": ISO_MEDIA, "3gp": ISO_MEDIA, "mkv": MATROSKA, "webm": MATROSKA, "heif": "heic",
}  # fmt: skip
_GROUP_OF_EXTENSION = {"mp4": ISO_MEDIA, "m4a": ISO_MEDIA, "mov": ISO_MEDIA, "3gp": ISO_MEDIA, "mkv": MATROSKA,
                       "webm": MATROSKA}  # fmt: skip


def sniff(path: Path, extension_hint: str = "") -> str:
    """Return the canonical extension of what the file is.

    Args:
        path: The file.
        extension_hint: Extension of its name; a tie-break between kinds of plain text, and what an unreadable file
            is said to have claimed.

    Raises:
        EmptyInput: It has no bytes, or only white space.
        EncryptedFile: An office file that is encrypted as a whole.
        DamagedFile: It claims to be a kind that it is not, or its container cannot be opened.
        UnsupportedFormat: No parser reads what it is.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head.strip(b"\0 \t\r\n\v\f\xef\xbb\xbf\xff\xfe"):
        raise EmptyInput(f"'{path.name}' is empty ({size_bytes} bytes without content)")
    hint = canonical_extension(extension_hint)
    if head.startswith(_ZIP):
        return _zip_kind(path)
    if head.startswith(_OLE):
        return _ole_kind(path)
    if _is_pdf(path, head, size_bytes):
        return "pdf"
    text = text_of(head)
    if text is not None:
        return _text_kind(path, text, hint, size_bytes)
    return _binary_kind(path, head, hint)


def text_of(head: bytes) -> str | None:
    """Return the beginning of a text file as text; None when the bytes are not text."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return _printable(head[len(mark) :].decode(encoding, errors="replace"))
    if b"\0" in head:
        return _wide_text(head)
    try:
        return _printable(head.decode())
    except UnicodeDecodeError as error:
        if error.start > len(head) - 4 and len(head) == _HEAD_BYTES:
            # The reading stopped inside a character.
            return _printable(head[: error.start].decode())
    return _legacy_text(head)


def _printable(text: str) -> str | None:
    controls = sum(text.count(chr(code)) for code in range(32) if code not in {8, 9, 10, 11, 12, 13, 27})
    broken = text.count("\N{REPLACEMENT CHARACTER}")
    return text if controls + broken <= len(text) // 200 else None


def _wide_text(head: bytes) -> str | None:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) * 0.2 or min(even, odd) > len(head) * 0.01:
        return None
    whole = head[: len(head) // 2 * 2]
    return _printable(whole.decode("utf-16-le" if odd > even else "utf-16-be", errors="replace"))


def _legacy_text(head: bytes) -> str | None:
    # An 8-bit code page or a multi-byte one: both opinions are needed, as almost any bytes decode as Latin-1.
    if not _magika().identify_bytes(head).output.is_text:
        return None
    import charset_normalizer

    best = charset_normalizer.from_bytes(head[:32_768]).best()
    return _printable(str(best)) if best is not None else None


def _is_pdf(path: Path, head: bytes, size_bytes: int) -> bool:
    found = head.find(b"%PDF-", 0, 1024)
    if found < 0:
        return False
    if found > 0 and text_of(head) is not None:
        return False
    with path.open("rb") as stream:
        stream.seek(max(0, size_bytes - 4096))
        tail = stream.read()
    # A text about PDF may begin with the same letters; a PDF has objects.
    return b" obj" in head or b"startxref" in tail or text_of(head) is None


# ---------------------------------------------------------------- containers


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as container:
            names = set(container.namelist())
            stated = container.read("mimetype")[:200].decode("ascii", "replace").strip() if "mimetype" in names else ""
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DamagedFile(f"'{path.name}' is damaged: its zip container cannot be opened ({error})") from error
    for main, extension in (
        ("word/document.xml", "docx"),
        ("xl/workbook.xml", "xlsx"),
        ("ppt/presentation.xml", "pptx"),
    ):
        if main in names:
            return extension
    for kind in KINDS.values():
        if kind.media_type in {stated, stated.removesuffix("-template")}:
            return kind.extension
    if "META-INF/container.xml" in names and any(name.endswith(".opf") for name in names):
        return "epub"
    raise UnsupportedFormat(f"'{path.name}' is a zip archive; unpack it and add the files inside")


def _ole_kind(path: Path) -> str:
    import olefile  # type: ignore[import-untyped]

    try:
        with olefile.OleFileIO(str(path)) as container:
            streams = {entry[0].lower() for entry in container.listdir(streams=True, storages=False) if len(entry) == 1}
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise DamagedFile(f"'{path.name}' is damaged: its OLE container cannot be opened ({error})") from error
    if "encryptedpackage" in streams:
        raise EncryptedFile(f"'{path.name}' needs a password")
    for stream, extension in (
        ("__properties_version1.0", "msg"),
        ("worddocument", "doc"),
        ("workbook", "xls"),
        ("book", "xls"),
        ("powerpoint document", "ppt"),
    ):
        if stream in streams:
            return extension
    raise UnsupportedFormat(f"'{path.name}' is an OLE container of a kind that cannot be read")


# ---------------------------------------------------------------- text


def _text_kind(path: Path, text: str, hint: str | None, size_bytes: int) -> str:
    return _sure_text_kind(path, text, hint, size_bytes) or _likely_text_kind(text, hint)


def _sure_text_kind(path: Path, text: str, hint: str | None, size_bytes: int) -> str | None:
    beginning = text.lstrip("\ufeff \t\r\n")[:4096]
    for pattern, extension in _BEGINNINGS:
        if pattern.match(beginning):
            return extension
    if _is_mail(text, hint):
        return "eml"
    if beginning.startswith(("{", "[")) and _is_json(path, hint, size_bytes):
        return "json"
    if beginning.startswith("<"):
        return _markup_kind(beginning, hint)
    return None


def _markup_kind(beginning: str, hint: str | None) -> str | None:
    if _HTML.search(beginning[:2048]):
        return "html"
    if hint == "html" and _TAG.search(beginning):
        return "html"
    if beginning.startswith("<?xml") or (hint == "xml" and _XML_START.match(beginning)):
        return "xml"
    return None


def _is_mail(text: str, hint: str | None) -> bool:
    block = re.split(r"\r?\n\r?\n", text.lstrip("\ufeff\r\n"), maxsplit=1)[0][:65_536]
    first_line = block.split("\n", 1)[0]
    if not _MAIL_HEADER.match(first_line) and not first_line.startswith("From "):
        return False
    names = {match.lower() for match in _MAIL_HEADER.findall(block)}
    if hint == "eml":
        return bool(names & _MAIL_USUAL)
    return len(names & _MAIL_USUAL) >= 3 and bool(names & _MAIL_SURE)


def _is_json(path: Path, hint: str | None, size_bytes: int) -> bool:
    if hint == "json" or size_bytes > _JSON_MAX_BYTES:
        return hint == "json"
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return True


def _likely_text_kind(text: str, hint: str | None) -> str:
    if hint in _WEAK_TEXT_KINDS:
        return hint
    if hint == "html" and _TAG.search(text):
        return "html"
    label = str(_magika().identify_bytes(text.encode()[:_HEAD_BYTES]).output.label)
    guess = {"markdown": "md", "rst": "rst", "csv": "csv", "tsv": "tsv", "html": "html"}.get(label)
    if guess in {"csv", "tsv"} and not _has_columns(text, "," if guess == "csv" else "\t"):
        return "txt"
    return guess or "txt"


def _has_columns(text: str, delimiter: str) -> bool:
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    counts = {line.count(delimiter) for line in lines}
    return len(lines) >= 2 and 0 not in counts


# ---------------------------------------------------------------- other binary kinds


def _binary_kind(path: Path, head: bytes, hint: str | None) -> str:
    result = _magika().identify_path(path)
    label = str(result.output.label)
    by_structure = signature_kind(head)
    by_magika = _GROUP_OF_MAGIKA.get(label, label if label in KINDS else None)
    by_puremagic = _puremagic_kinds(head)
    if by_structure is not None:
        agreed = _group(by_structure) == by_magika or _group(by_structure) in by_puremagic
        if agreed or by_structure not in _WEAK_SIGNATURES:
            return by_structure
    if by_structure is None and by_magika is not None and by_magika in by_puremagic and by_magika in KINDS:
        return by_magika
    raise _refusal(path, head, hint, label, str(result.output.description))


def _group(extension: str) -> str:
    return _GROUP_OF_EXTENSION.get(extension, extension)


def _puremagic_kinds(head: bytes) -> set[str]:
    import puremagic

    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return set()
    extensions = {canonical_extension(match.extension) or match.extension.lstrip(".") for match in matches}
    return {_group(extension) for extension in extensions}


def _refusal(path: Path, head: bytes, hint: str | None, label: str, description: str) -> Exception:
    if hint == "pdf":
        return DamagedFile(f"'{path.name}' is not a PDF: it does not start with %PDF")
    if label not in {"unknown", "undefined", "empty"} and label not in KINDS and description:
        return UnsupportedFormat(f"'{path.name}' seems to be a kind of file that cannot be read ({description})")
    if hint is not None:
        begins = head[:8].hex(" ")
        return DamagedFile(f"'{path.name}' is not a file of kind {hint}: it starts with the bytes {begins}")
    return UnsupportedFormat(f"'{path.name}' is of no kind that can be read")


@functools.cache
def _magika() -> Any:
    import magika

    return magika.Magika()
