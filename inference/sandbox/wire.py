"""The pipe between a sandboxed child and its parent: length-prefixed JSON followed by raw artefact bytes, no pickle.

The parent trusts nothing that comes back: every length is bounded and every value is rebuilt through its own class.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable
from typing import Any

from inference.parsing.base import Limits, ParseRequest
from inference.values import Anchor, Box, Extraction, Picture, SourceInfo, TextBlock

HEADER = struct.Struct(">I")
HEADER_MAX_BYTES = 256 * 1024 * 1024
ARTEFACTS_MAX_BYTES = 1024 * 1024 * 1024

ReadExactly = Callable[[int], bytes]
_ANCHOR_FIELDS = tuple(field.name for field in dataclasses.fields(Anchor) if field.name != "box")


class MalformedMessage(Exception):
    """The other side sent something that is no message."""


def frame(message: dict[str, Any], artefacts: dict[str, bytes] | None = None) -> list[bytes]:
    """Return the byte strings of one message, to be written one after another."""
    found = artefacts or {}
    listing = [[name, len(content)] for name, content in found.items()]
    body = json.dumps({**message, "artefacts": listing}).encode()
    return [HEADER.pack(len(body)), body, *found.values()]


def read_frame(read_exactly: ReadExactly) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read one message.

    Raises:
        MalformedMessage: A length is over its limit or the header is no JSON object.
    """
    (length,) = HEADER.unpack(read_exactly(HEADER.size))
    if length > HEADER_MAX_BYTES:
        raise MalformedMessage(f"a header of {length} bytes is over the limit of {HEADER_MAX_BYTES}")
    try:
        message = json.loads(read_exactly(length))
        listing = [(str(name), int(size)) for name, size in message.pop("artefacts")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedMessage(f"the header is no message: {error}") from error
    total = sum(size for _, size in listing)
    if any(size < 0 for _, size in listing) or total > ARTEFACTS_MAX_BYTES:
        raise MalformedMessage(f"artefacts of {total} bytes are over the limit of {ARTEFACTS_MAX_BYTES}")
    return message, {name: read_exactly(size) for name, size in listing}


def info_to_json(info: SourceInfo) -> dict[str, Any]:
    """Return a SourceInfo as JSON."""
    return dataclasses.asdict(info)


def info_from_json(public: dict[str, Any]) -> SourceInfo:
    """Rebuild a SourceInfo."""
    return SourceInfo(
        media_type=str(public["media_type"]),
        family=str(public["family"]),
        extension=str(public["extension"]),
        units=int(public["units"]),
        duration_s=_optional(float, public["duration_s"]),
        title=_optional(str, public["title"]),
    )


def request_to_json(request: ParseRequest) -> dict[str, Any]:
    """Return a ParseRequest as JSON."""
    return dataclasses.asdict(request)


def request_from_json(public: dict[str, Any]) -> ParseRequest:
    """Rebuild a ParseRequest."""
    return ParseRequest(**{**public, "limits": Limits(**public["limits"])})


def extraction_to_json(extraction: Extraction) -> dict[str, Any]:
    """Return an Extraction as JSON."""
    return {
        "blocks": [
            {
                "text": block.text,
                "anchor": _anchor_to_json(block.anchor),
                "role": block.role,
                "heading_path": list(block.heading_path),
            }
            for block in extraction.blocks
        ],
        "pictures": [
            {**_shallow(picture), "anchor": _anchor_to_json(picture.anchor)} for picture in extraction.pictures
        ],
        "audio_artefact": extraction.audio_artefact,
        "audio_start_s": extraction.audio_start_s,
        "attachments": [list(pair) for pair in extraction.attachments],
        "text": extraction.text,
    }


def extraction_from_json(public: dict[str, Any]) -> Extraction:
    """Rebuild an Extraction.

    Raises:
        KeyError, TypeError, ValueError: Something is missing or of the wrong type.
    """
    return Extraction(
        blocks=tuple(_block(block) for block in public["blocks"]),
        pictures=tuple(_picture(picture) for picture in public["pictures"]),
        audio_artefact=_optional(str, public["audio_artefact"]),
        audio_start_s=float(public["audio_start_s"]),
        attachments=tuple((str(name), str(artefact)) for name, artefact in public["attachments"]),
        text=_optional(str, public["text"]),
    )


def _block(public: dict[str, Any]) -> TextBlock:
    role = public["role"]
    if role not in {"heading", "paragraph", "list", "table", "caption", "code", "turn"}:
        raise ValueError(f"no such role of a text block: {role!r}")
    return TextBlock(
        text=str(public["text"]),
        anchor=_anchor(public["anchor"]),
        role=role,
        heading_path=tuple(str(title) for title in public["heading_path"]),
    )


def _picture(public: dict[str, Any]) -> Picture:
    origin = public["origin"]
    if origin not in {"picture", "page", "frame"}:
        raise ValueError(f"no such origin of a picture: {origin!r}")
    return Picture(
        artefact=str(public["artefact"]),
        anchor=_anchor(public["anchor"]),
        origin=origin,
        needs_ocr=bool(public["needs_ocr"]),
        needs_caption=bool(public["needs_caption"]),
    )


def _anchor_to_json(anchor: Anchor) -> dict[str, Any]:
    public = {name: getattr(anchor, name) for name in _ANCHOR_FIELDS if getattr(anchor, name) is not None}
    if anchor.box is not None:
        public["box"] = [anchor.box.x0, anchor.box.y0, anchor.box.x1, anchor.box.y1]
    return public


def _anchor(public: dict[str, Any]) -> Anchor:
    fields = dict(public)
    box = fields.pop("box", None)
    rectangle = None
    if box is not None:
        x0, y0, x1, y1 = (float(value) for value in box)
        rectangle = Box(x0=x0, y0=y0, x1=x1, y1=y1)
    return Anchor(box=rectangle, **fields)


def _optional(kind: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else kind(value)


def _shallow(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
