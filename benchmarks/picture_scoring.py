"""Checks what was said of a picture against what somebody saw in it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from inference.preprocessing.picture_facts import KIND_NAMES
from inference.preprocessing.picture_head import PRESENCES, UNKNOWN
from inference.values import PictureFact

Verdict = Literal["true", "false", "not checkable"]

_FAMILY = {"page", "letter", "form", "invoice", "handwriting", "certificate"}
_ALSO = {"drawing": {"drawing", "flag", "painting"}, "document": _FAMILY}
_WITHOUT_COLOUR = {"white", "black", "grey"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What somebody saw in a picture; fields as in benchmarks/pictures/labels.toml."""

    kinds: Sequence[str]
    table: str
    photo: str
    signature: str
    chart: str
    barcode: str
    orientation: str
    objects: Sequence[str]
    colours: Sequence[str]
    text: str
    words: Sequence[str]
    chart_kind: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One statement with its verdict."""

    name: str
    value: str
    confidence: float
    verdict: Verdict

    @property
    def is_absence(self) -> bool:
        """Whether it says that something is not there, or that nothing is unusual."""
        return self.value in ("no", "upright")


def checked(facts: Sequence[PictureFact], labels: Labels) -> list[Checked]:
    """Check every statement; what is unknown states nothing and is left out."""
    return [
        Checked(
            name=fact.name,
            value=fact.value,
            confidence=round(fact.confidence, 3),
            verdict=_CHECKS[fact.name](fact.value, labels) if fact.name in _CHECKS else "not checkable",
        )
        for fact in facts
        if fact.value != UNKNOWN
    ]


def _kind(value: str, labels: Labels) -> Verdict:
    stated = next(kind for kind, name in KIND_NAMES.items() if name == value)
    return _verdict(is_true=bool(_ALSO.get(stated, {stated}) & set(labels.kinds)))


def _presence(name: str) -> Callable[[str, Labels], Verdict]:
    def check(value: str, labels: Labels) -> Verdict:
        seen = getattr(labels, name)
        return "not checkable" if seen == "unclear" else _verdict(is_true=value == seen)

    return check


def _chart(value: str, labels: Labels) -> Verdict:
    if value in ("yes", "no"):
        return _presence("chart")(value, labels)
    if not labels.chart_kind:
        return _verdict(is_true=False) if labels.chart == "no" else "not checkable"
    return _verdict(is_true=value.startswith(labels.chart_kind))


def _orientation(value: str, labels: Labels) -> Verdict:
    if labels.orientation == "unclear":
        return "not checkable"
    turn = re.search(r"\d+", value)
    return _verdict(is_true=(turn.group() if turn else "0") == labels.orientation)


def _content(value: str, labels: Labels) -> Verdict:
    name = set(re.findall(r"[a-z]+", re.split(r"[(,]", value.lower())[0]))
    return _verdict(is_true=any(set(one.lower().split()) <= name for one in labels.objects))


def _colours(value: str, labels: Labels) -> Verdict:
    if value == "black and white":
        return _verdict(is_true=not labels.colours)
    stated = set(re.split(r", | and ", value)) - _WITHOUT_COLOUR
    return _verdict(is_true=stated <= set(labels.colours)) if stated else "not checkable"


def _text(value: str, labels: Labels) -> Verdict:
    if labels.text == "unclear":
        return "not checkable"
    read = value.lower()
    return _verdict(is_true=labels.text == "yes" and (not labels.words or any(w.lower() in read for w in labels.words)))


def _verdict(*, is_true: bool) -> Verdict:
    return "true" if is_true else "false"


_CHECKS: Mapping[str, Callable[[str, Labels], Verdict]] = {
    **{name: _presence(name) for name in PRESENCES},
    "kind": _kind,
    "chart": _chart,
    "orientation": _orientation,
    "content": _content,
    "colours": _colours,
    "text": _text,
}
