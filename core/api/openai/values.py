"""What no value of a request may be: an address that somebody would have to fetch, or text that is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.api.openai.errors import RequestRefused

DEPTH_MAX = 64

_ADDRESS = re.compile(r"\s*(?:(?:https?|ftps?|s3|gs|wss?):/{0,3}[^\s/]|file:/)\S*\s*", re.IGNORECASE)
_SCHEMA_NAMES = frozenset({"$schema", "$id"})
"""JSON Schema's own names look like addresses and are none."""

_SHOWN_CHARS = 80


def values_check(value: Any, where: str = "", depth: int = 0) -> None:
    """Check every value of a request, wherever it stands.

    Text that mentions an address among other words is text: nobody opens it.

    Raises:
        RequestRefused: One is an http(s), file or other address, or holds characters that are no text; with its place.
    """
    if isinstance(value, str):
        _text_check(value, where)
    elif isinstance(value, Mapping | list | tuple):
        if depth == DEPTH_MAX:
            raise RequestRefused(f"the request is nested deeper than {DEPTH_MAX}")
        inner = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, one in inner:
            if isinstance(name, str):
                _text_check(name, "the name of a field")
            if name not in _SCHEMA_NAMES:
                values_check(one, _place(where, name), depth + 1)


def _place(where: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{where}[{name}]"
    return f"{where}.{name}" if where else name


def _text_check(text: str, where: str) -> None:
    if "\x00" in text or (not text.isascii() and _is_broken(text)):
        raise RequestRefused(f"{where or 'the request'} holds characters that are no text", param=where or None)
    if _ADDRESS.fullmatch(text):
        raise RequestRefused(
            f"{where or 'the request'} is an address ('{text.strip()[:_SHOWN_CHARS]}'); nothing is fetched here: "
            "send the content as a data URL, or upload it to /v1/files and name its id",
            param=where or None,
            code="url_not_allowed",
        )


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
