"""The everyday filters by name, as forms and command lines have them, as one filter."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from core.search.filters import Filter, Operator, comparison, filter_all


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """What a search is narrowed to; all of it holds together.

    Attributes:
        tag: All of these tags; the other lists mean one of theirs.
        page_to: Inclusive.
        time_to_s: Exclusive.
    """

    kind: Sequence[str] = ()
    document: Sequence[UUID] = ()
    media_type: Sequence[str] = ()
    language: Sequence[str] = ()
    speaker: Sequence[str] = ()
    tag: Sequence[str] = ()
    date_from: dt.date | None = None
    date_to: dt.date | None = None
    page_from: int | None = None
    page_to: int | None = None
    time_from_s: float | None = None
    time_to_s: float | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Narrowing:
        """Take what is there of a mapping of the same names."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: fields[name] for name in names if fields.get(name) is not None})


_LISTS = ("kind", "document", "media_type", "language", "speaker")
_BOUNDS: tuple[tuple[str, Operator, str], ...] = (
    ("date_from", "gte", "date"),
    ("date_to", "lte", "date"),
    ("page_from", "gte", "page"),
    ("page_to", "lte", "page"),
    ("time_from_s", "gt", "time_s"),
    ("time_to_s", "lt", "time_s"),
)


def narrowing_filter(narrowing: Narrowing, further: Filter | None = None) -> Filter | None:
    """Return one filter for all of it and a further one; None when nothing narrows."""
    found: list[Filter] = [] if further is None else [further]
    found += [comparison("in", name, list(getattr(narrowing, name))) for name in _LISTS if getattr(narrowing, name)]
    found += [comparison("eq", "tags", tag) for tag in narrowing.tag]
    for name, operator, key in _BOUNDS:
        if getattr(narrowing, name) is not None:
            found.append(comparison(operator, key, getattr(narrowing, name)))
    return filter_all(found)
