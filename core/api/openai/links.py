"""Nothing is ever fetched: a value that is an address is refused, wherever in a request it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.api.openai.errors import RequestRefused

_ADDRESS = re.compile(r"\s*(?:https?|ftps?|file|s3|gs|wss?):/{0,3}[^\s/]\S*\s*|\s*file:/\S*\s*", re.IGNORECASE)
_SCHEMA_NAMES = frozenset({"$schema", "$id"})
"""JSON Schema's own names look like addresses and are none."""

_SHOWN_CHARS = 80


def links_refuse(value: Any, where: str = "") -> None:
    """Refuse a request in which any value is an http(s), file or other address.

    Text that mentions an address among other words is text: nobody opens it.

    Raises:
        RequestRefused: With the place of the address.
    """
    if isinstance(value, str):
        if _ADDRESS.fullmatch(value):
            shown = value.strip()[:_SHOWN_CHARS]
            raise RequestRefused(
                f"{where or 'the request'} is an address ('{shown}'); nothing is fetched here: "
                "send the content as a data URL, or upload it to /v1/files and name its id",
                param=where or None,
                code="url_not_allowed",
            )
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _SCHEMA_NAMES:
                links_refuse(inner, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            links_refuse(inner, f"{where}[{index}]")
