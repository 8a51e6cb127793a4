"""Bytes of unknown encoding to clean text."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODEPAGES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp932", "euc_jp", "gb18030", "big5",
    "euc_kr", "koi8_r",
]  # fmt: skip
_SAMPLE_BYTES = 65_536
# Detection by letter frequencies needs some letters; shorter text is Western more often than anything else.
_DETECTABLE_BYTES = 24
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def decoded(data: bytes, *, declared: str | None = None) -> str:
    """Decode by byte order mark, the declared encoding, UTF-8, then detection; line ends become line feeds.

    Control characters are removed (form feeds become paragraph breaks), so that the text can be stored and shown.
    """
    text = _decoded(data, declared)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n")
    return _CONTROL.sub("", text.removeprefix("\ufeff"))


def without_controls(text: str) -> str:
    """Remove the control characters and lone surrogates that no database or page accepts."""
    return _CONTROL.sub("", text)


def _decoded(data: bytes, declared: str | None) -> str:
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data.decode(name, errors="replace")
    for candidate in (declared, "utf-8", _wide(data)):
        text = _strict(data, candidate) if candidate else None
        if text is not None:
            return text
    return data.decode(_detected(data), errors="replace")


def _strict(data: bytes, name: str) -> str | None:
    try:
        text = data.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None
    # UTF-16 text of Latin letters is valid UTF-8 full of NUL characters.
    return None if "\x00" in text and text.count("\x00") > len(text) // 4 else text


def _wide(data: bytes) -> str | None:
    sample = data[:_SAMPLE_BYTES]
    if len(sample) < 4 or len(data) % 2:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if max(even, odd) < len(sample) // 5:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _detected(data: bytes) -> str:
    sample = data[:_SAMPLE_BYTES]
    if sum(byte >= 0x80 for byte in sample) * 4 < len(sample) or len(sample) < _DETECTABLE_BYTES:
        return "cp1252" if _strict(data, "cp1252") is not None else _best(sample)
    return _best(sample)


def _best(sample: bytes) -> str:
    match = from_bytes(sample, cp_isolation=_CODEPAGES).best()
    return match.encoding if match else "latin-1"
