"""One filter language for every search: read from JSON, checked, and turned into SQL for every leg.

A filter is a comparison or several joined by ``and`` or ``or`` (the shape of OpenAI's vector store search)::

    {"type": "and", "filters": [
        {"type": "in", "key": "kind", "value": ["speech", "text"]},
        {"type": "gte", "key": "metadata.year", "value": 2020}]}

Operators are eq ne gt gte lt lte in nin. ``ne`` and ``nin`` hold wherever eq and in do not, also where there is no
value. Keys:

=============  ===========================================================================================
collection     id of a collection (eq ne in nin)
document       id of a document (eq ne in nin)
kind           text, table, speech, image, frame, caption (eq ne in nin)
media_type     of the file the passage stands in, such as application/pdf (eq ne in nin)
language       ISO 639-1 code of the passage (eq ne in nin)
speaker        label of a speaker, such as S2 (eq ne in nin)
tags           of the document: eq has the tag, in has one of them, ne and nin have none (eq ne in nin)
date           of the document, YYYY-MM-DD (all)
page           1-based page, slide or picture number (all)
time_s         seconds in a recording: gt and gte what ends after, lt and lte what begins before, eq what spans it
metadata.KEY   the document's own: text, number, true or false, date as YYYY-MM-DD (all; gt ... lte numbers and dates)
=============  ===========================================================================================
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast, get_args

from core.access.errors import Invalid
from core.documents.labels import KEY, TEXT_MAX_CHARS, MetadataValue
from inference.values import SEGMENT_KINDS

Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
Junction = Literal["and", "or"]
Value: TypeAlias = MetadataValue | dt.date | uuid.UUID

OPERATORS: tuple[Operator, ...] = get_args(Operator)
EQUALITY: tuple[Operator, ...] = ("eq", "ne", "in", "nin")
LISTING: tuple[Operator, ...] = ("in", "nin")
NEGATED: dict[Operator, Operator] = {"ne": "eq", "nin": "in"}

COMPARISONS_MAX = 64
DEPTH_MAX = 8
VALUES_MAX = 1000
METADATA_PREFIX = "metadata."


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """One field compared with a value; with a tuple of values for ``in`` and ``nin``."""

    operator: Operator
    key: str
    value: Value | tuple[Value, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Compound:
    """Several filters of which all (``and``) or at least one (``or``) hold."""

    operator: Junction
    filters: tuple[Filter, ...]


Filter: TypeAlias = Comparison | Compound


def filter_parse(obj: object, *, attributes: bool = False) -> Filter:
    """Read a filter from JSON (an object, or its text).

    Args:
        obj: ``{"type": operator, "key": field, "value": ...}`` or ``{"type": "and" | "or", "filters": [...]}``.
        attributes: Take keys that are no field for metadata, as clients of OpenAI's vector stores send them.

    Raises:
        Invalid: Something in it cannot be; the message names the field and the operator.
    """
    if isinstance(obj, str):
        try:
            obj = json.loads(obj)
        except ValueError as error:
            raise Invalid(f"filter: this is not JSON: {error}") from error
    return _Reader(attributes=attributes).read(obj, depth=1)


def filter_all(filters: Sequence[Filter]) -> Filter | None:
    """Join filters so that all hold; None when there is none."""
    return Compound("and", tuple(filters)) if len(filters) > 1 else next(iter(filters), None)


def comparison(operator: Operator, key: str, value: object) -> Comparison:
    """Make one checked comparison.

    Raises:
        Invalid: The field, the operator or the value cannot be.
    """
    found = _Reader(attributes=False).read({"type": operator, "key": key, "value": value}, depth=1)
    return cast(Comparison, found)


class _Reader:
    def __init__(self, *, attributes: bool) -> None:
        self.attributes = attributes
        self.comparisons = 0

    def read(self, obj: object, *, depth: int) -> Filter:
        if not isinstance(obj, Mapping):
            raise Invalid('filter: send an object such as {"type": "eq", "key": "kind", "value": "table"}')
        if depth > DEPTH_MAX:
            raise Invalid(f"filter: and/or are nested deeper than {DEPTH_MAX}")
        kind = obj.get("type")
        if kind in ("and", "or"):
            return self._compound(cast(Junction, kind), obj, depth)
        if kind not in OPERATORS:
            raise Invalid(f"filter: {kind!r} is not an operator; known are {', '.join(OPERATORS)}, and, or")
        return self._comparison(cast(Operator, kind), obj)

    def _compound(self, operator: Junction, obj: Mapping[str, Any], depth: int) -> Compound:
        _only(obj, ("type", "filters"), operator)
        inner = obj.get("filters")
        if not isinstance(inner, list) or not inner:
            raise Invalid(f"filter: '{operator}' needs 'filters', a list of at least one filter")
        return Compound(operator, tuple(self.read(one, depth=depth + 1) for one in inner))

    def _comparison(self, operator: Operator, obj: Mapping[str, Any]) -> Comparison:
        _only(obj, ("type", "key", "value"), operator)
        self.comparisons += 1
        if self.comparisons > COMPARISONS_MAX:
            raise Invalid(f"filter: there are more than {COMPARISONS_MAX} comparisons")
        key = self._key(obj.get("key"))
        where = f"filter: '{operator}' of '{key}'"
        field = _FIELDS.get(key, _METADATA)
        if operator not in field.operators:
            raise Invalid(f"{where} cannot be compared; use one of {', '.join(field.operators)}")
        if "value" not in obj:
            raise Invalid(f"{where} has no 'value'")
        return Comparison(operator, key, _value(where, operator, field, obj["value"]))

    def _key(self, key: object) -> str:
        if isinstance(key, str) and key in _FIELDS:
            return key
        if isinstance(key, str):
            name = key.removeprefix(METADATA_PREFIX)
            if (name != key or self.attributes) and KEY.fullmatch(name):
                return METADATA_PREFIX + name
        known = ", ".join([*_FIELDS, "metadata.KEY"])
        raise Invalid(f"filter: {key!r} is not a field; known are {known}")


def _only(obj: Mapping[str, Any], known: Sequence[str], operator: str) -> None:
    unknown = sorted(map(str, set(obj) - set(known)))
    if unknown:
        raise Invalid(f"filter: '{operator}' has no '{unknown[0]}'; it takes {', '.join(known)}")


def _value(where: str, operator: Operator, field: _Field, value: object) -> Value | tuple[Value, ...]:
    if operator not in LISTING:
        return field.read(where, operator, value)
    if not isinstance(value, list) or not 0 < len(value) <= VALUES_MAX:
        raise Invalid(f"{where} needs a list of 1 to {VALUES_MAX} values")
    return tuple(field.read(where, operator, one) for one in value)


# What each field takes: a reader turns one JSON value into a checked one.


def _read_text(where: str, _operator: Operator, value: object) -> Value:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX_CHARS or "\x00" in value:
        raise Invalid(f"{where} needs a text of 1 to {TEXT_MAX_CHARS} characters, not {value!r}")
    return value


def _read_kind(where: str, _operator: Operator, value: object) -> Value:
    if value not in SEGMENT_KINDS:
        raise Invalid(f"{where}: {value!r} is not a kind; known are {', '.join(SEGMENT_KINDS)}")
    return cast(str, value)


def _read_id(where: str, _operator: Operator, value: object) -> Value:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(cast(str, value))
    except (ValueError, AttributeError, TypeError) as error:
        raise Invalid(f"{where}: {value!r} is not an id") from error


def _read_date(where: str, _operator: Operator, value: object) -> Value:
    try:
        return value if isinstance(value, dt.date) else dt.date.fromisoformat(cast(str, value))
    except (ValueError, TypeError) as error:
        raise Invalid(f"{where}: {value!r} is not a date; write YYYY-MM-DD") from error


def _read_number(where: str, _operator: Operator, value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e9:
        raise Invalid(f"{where} needs a number, not {value!r}")
    return float(value)


def _read_metadata(where: str, operator: Operator, value: object) -> Value:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or abs(value) >= 1e18:
            raise Invalid(f"{where} needs a number below 1e18, not {value!r}")
        return value
    if operator in EQUALITY and isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= TEXT_MAX_CHARS and "\x00" not in value:
        if operator in EQUALITY or _is_date(value):
            return value
        raise Invalid(f"{where} compares numbers and dates (YYYY-MM-DD), not the text {value!r}")
    raise Invalid(f"{where} needs a text, a number, true or false, not {value!r}")


def _is_date(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    read: Callable[[str, Operator, object], Value]
    operators: tuple[Operator, ...]
    column: str = ""
    array: str = ""


_FIELDS: dict[str, _Field] = {
    "collection": _Field(_read_id, EQUALITY, "s.collection_id", "uuid[]"),
    "document": _Field(_read_id, EQUALITY, "s.document_id", "uuid[]"),
    "kind": _Field(_read_kind, EQUALITY, "s.kind", "text[]"),
    "media_type": _Field(_read_text, EQUALITY, "p.media_type", "text[]"),
    "language": _Field(_read_text, EQUALITY, "s.language", "text[]"),
    "speaker": _Field(_read_text, EQUALITY, "s.speaker", "text[]"),
    "tags": _Field(_read_text, EQUALITY),
    "date": _Field(_read_date, OPERATORS, "d.date", "date[]"),
    "page": _Field(_read_number, OPERATORS, "s.page", "double precision[]"),
    "time_s": _Field(_read_number, ("eq", "gt", "gte", "lt", "lte")),
}
_METADATA = _Field(_read_metadata, OPERATORS)

FIELDS: tuple[str, ...] = tuple(_FIELDS)


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """SQL over the aliases s (segment), d (its document) and p (its part), with the values to bind."""

    sql: str
    values: tuple[Any, ...]

    # What is bound stands in ``values``, so an alias in ``sql`` is an alias.
    @property
    def of_documents(self) -> bool:
        """Whether it looks at the document."""
        return "d." in self.sql

    @property
    def of_parts(self) -> bool:
        """Whether it looks at the part."""
        return "p." in self.sql


NO_CONDITION = Condition("TRUE", ())

_SIGNS: dict[Operator, str] = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def filter_sql(wanted: Filter | None) -> Condition:
    """Turn a filter into a condition; every value is bound, no part of it becomes SQL."""
    if wanted is None:
        return NO_CONDITION
    if isinstance(wanted, Comparison):
        return _comparison_sql(wanted)
    parts = [filter_sql(one) for one in wanted.filters]
    glue = f" {wanted.operator.upper()} "
    return Condition("(" + glue.join(one.sql for one in parts) + ")", tuple(v for one in parts for v in one.values))


def _comparison_sql(wanted: Comparison) -> Condition:
    positive = NEGATED.get(wanted.operator)
    if positive is not None:
        inner = _comparison_sql(dataclasses.replace(wanted, operator=positive))
        return Condition(f"({inner.sql}) IS NOT TRUE", inner.values)
    if wanted.key.startswith(METADATA_PREFIX):
        return _metadata_sql(wanted)
    if wanted.key == "tags":
        values = wanted.value if isinstance(wanted.value, tuple) else (wanted.value,)
        return Condition("d.tags && %s::varchar[]", (list(values),))
    if wanted.key == "time_s":
        return _time_sql(wanted)
    field = _FIELDS[wanted.key]
    if isinstance(wanted.value, tuple):
        return Condition(f"{field.column} = ANY (%s::{field.array})", (list(wanted.value),))
    return Condition(f"{field.column} {_SIGNS[wanted.operator]} %s::{field.array.removesuffix('[]')}", (wanted.value,))


def _time_sql(wanted: Comparison) -> Condition:
    second = wanted.value
    match wanted.operator:
        case "gt" | "gte":
            return Condition(f"s.end_s {_SIGNS[wanted.operator]} %s", (second,))
        case "lt" | "lte":
            return Condition(f"s.start_s {_SIGNS[wanted.operator]} %s", (second,))
    # An end is exclusive, but a video frame begins and ends in the same second.
    return Condition("(s.start_s <= %s AND (s.end_s > %s OR s.end_s = s.start_s AND s.end_s = %s))", (second,) * 3)


def _metadata_sql(wanted: Comparison) -> Condition:
    key = wanted.key.removeprefix(METADATA_PREFIX)
    if wanted.operator in EQUALITY:
        values = wanted.value if isinstance(wanted.value, tuple) else (wanted.value,)
        marks = ", ".join(["%s::jsonb"] * len(values))
        return Condition(f"d.metadata -> %s IN ({marks})", (key, *(json.dumps(one) for one in values)))
    sign = _SIGNS[wanted.operator]
    if isinstance(wanted.value, str):
        text = "CASE WHEN jsonb_typeof(d.metadata -> %s) = 'string' THEN d.metadata ->> %s END"
        day = f"CASE WHEN ({text}) ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$' THEN {text} END"
        return Condition(f'({day}) COLLATE "C" {sign} %s', (key, key, key, key, wanted.value))
    number = "CASE WHEN jsonb_typeof(d.metadata -> %s) = 'number' THEN (d.metadata ->> %s)::numeric END"
    return Condition(f"({number}) {sign} %s::numeric", (key, key, wanted.value))
