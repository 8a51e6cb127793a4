"""What a sender says about a document: tags, typed metadata, a date; checked once, here.

Input goes through ``labels_apply``, whether it comes with an upload or later.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

from core.access.errors import Invalid
from core.documents.models import Document

TAGS_MAX = 50
TAG_MAX_CHARS = 64
KEYS_MAX = 32
TEXT_MAX_CHARS = 512

KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}")

MetadataValue: TypeAlias = str | int | float | bool
"""A text of the form YYYY-MM-DD is a date: filters compare it as one."""

LABEL_FIELDS = ("tags", "metadata", "date")


class Labels(TypedDict, total=False):
    """Labels to set; what is left out stays as it is.

    Attributes:
        tags: All tags.
        metadata: Keys to set; a key that is set to null is taken out.
        date: A date, its text YYYY-MM-DD, or null for none.
    """

    tags: Sequence[str]
    metadata: Mapping[str, Any]
    date: dt.date | str | None


def labels_apply(document: Document, labels: Labels) -> None:
    """Put labels on a document, which the caller saves.

    Raises:
        Invalid: One of them cannot be; the message names it.
    """
    if "tags" in labels:
        document.tags = tags_check(labels["tags"])
    if "metadata" in labels:
        document.metadata = metadata_merge(document.metadata, labels["metadata"])
    if "date" in labels:
        document.date = date_check(labels["date"])


def tags_check(tags: Sequence[Any]) -> list[str]:
    """Return the tags without repeats and surrounding space, in their order.

    Raises:
        Invalid: There are too many, or one is not a text of 1 to 64 characters.
    """
    found: dict[str, None] = {}
    for tag in tags:
        stripped = tag.strip() if isinstance(tag, str) else ""
        if not 0 < len(stripped) <= TAG_MAX_CHARS or "\x00" in stripped:
            raise Invalid(f"tags: {tag!r} is not a text of 1 to {TAG_MAX_CHARS} characters")
        found[stripped] = None
    if len(found) > TAGS_MAX:
        raise Invalid(f"tags: a document has at most {TAGS_MAX}, not {len(found)}")
    return list(found)


def metadata_check(metadata: object) -> dict[str, MetadataValue]:
    """Return metadata whose keys are names and whose values are text, numbers, or yes and no.

    Raises:
        Invalid: It is not an object, has too many keys, or a key or value cannot be.
    """
    if not isinstance(metadata, Mapping):
        raise Invalid('metadata: send an object such as {"year": 2021, "author": "Ada"}')
    if len(metadata) > KEYS_MAX:
        raise Invalid(f"metadata: a document has at most {KEYS_MAX} keys, not {len(metadata)}")
    return {key_check(key): value_check(key, value) for key, value in metadata.items()}


def key_check(key: object) -> str:
    """Return a metadata key.

    Raises:
        Invalid: It is not 1 to 64 letters, digits, underscores, dots, spaces or hyphens.
    """
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise Invalid(f"metadata: the key {key!r} is not 1 to 64 of letters, digits, '_', '.', '-' and space")
    return key


def value_check(key: object, value: object) -> MetadataValue:
    """Return a metadata value.

    Raises:
        Invalid: It is neither text (up to 512 characters), number nor yes or no.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e18:
        return value
    if isinstance(value, str) and len(value) <= TEXT_MAX_CHARS and _is_storable(value):
        return value
    raise Invalid(
        f"metadata: the value of '{key}' is not a text of at most {TEXT_MAX_CHARS} characters, a number, true or false"
    )


def _is_storable(text: str) -> bool:
    """Whether a column takes it: JSON can write null characters and halves of characters, which are no text."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def metadata_merge(present: Mapping[str, Any], changes: object) -> dict[str, MetadataValue]:
    """Return metadata with changes put in; a key that is changed to null is taken out.

    Raises:
        Invalid: As ``metadata_check``.
    """
    if not isinstance(changes, Mapping):
        return metadata_check(changes)
    merged = {**present, **changes}
    return metadata_check({key: value for key, value in merged.items() if value is not None})


def metadata_value_read(written: str) -> MetadataValue:
    """Read a value as somebody types it: a number, true or false, in double quotes a text, else the text itself."""
    try:
        value = json.loads(written)
    except ValueError:
        return written
    return value if isinstance(value, str | int | float | bool) else written


def date_check(value: object) -> dt.date | None:
    """Return a date from ``YYYY-MM-DD``; nothing for null and for the empty text.

    Raises:
        Invalid: It is not a date.
    """
    if value is None or value == "":
        return None
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError as error:
        raise Invalid(f"date: '{value}' is not a date; write YYYY-MM-DD") from error
