"""A segment on its way into the database, and the id it will always have."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from inference.values import SegmentKind, Vectors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDraft:
    """One piece of a document with its vectors.

    Attributes:
        part_id: Part it stands in.
        ordinal: Reading order within the document, unique there.
        kind: text, table, speech, image, frame or caption.
        text: What is searched and quoted; empty for a picture nobody could read.
        heading_path: Titles of the enclosing headings, outermost first.
        anchor: Public form of the anchor.
        words: Of speech: [text, start_s, end_s] for each word.
        spans: [start, end, anchor] of each block of the text.
        language: ISO 639-1, empty when unknown.
        picture_sha256: Artefact with the preview, empty without.
        vectors: For each space's id a float32 array of its dimensions, or None where there is nothing to embed.
    """

    part_id: uuid.UUID
    ordinal: int
    kind: SegmentKind
    text: str
    anchor: Mapping[str, Any]
    heading_path: Sequence[str] = ()
    words: Sequence[Sequence[Any]] | None = None
    spans: Sequence[Sequence[Any]] = ()
    language: str = ""
    picture_sha256: str = ""
    vectors: Mapping[int, Vectors | None] = dataclasses.field(default_factory=dict)


def segment_id(*, document_id: uuid.UUID, part_ordinal: int, kind: str, ordinal: int, text: str) -> uuid.UUID:
    """Return the id of a segment: the same content at the same place has the same id in every run."""
    return uuid.uuid5(document_id, f"{part_ordinal}/{kind}/{ordinal}/{text}")
