"""What the language model reads: the strongest segments with their neighbours, tables whole, within its window."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from uuid import UUID

from core.access.acting import acting_as
from core.access.models import User
from core.answers.attribution import Span
from core.answers.evidence import Evidence
from core.answers.prompting import source_chars
from core.answers.wording import lexical_support
from core.segments.models import Segment

PROMPT_SEGMENTS = 3
EVIDENCE_MARGIN = 2.5
"""How much weaker than the best (in log-odds of being the right span) evidence may be and still be used."""

REPEATED_SHARE = 0.8
NEIGHBOURS = 1
"""Segments before and after one that is shown."""

TABLE_REACH = 20
"""Segments before and after one of a table that are looked at for the rest of it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One stretch of a document, as the model reads it.

    Attributes:
        segment_ids: Of the segments it is made of, in reading order.
        heading_path: Of the first.
    """

    segment_ids: tuple[UUID, ...]
    heading_path: tuple[str, ...]
    text: str


def segments_shown(spans: Sequence[Span], evidence: Evidence) -> list[Segment]:
    """Return the segments with strong spans, strongest first, none that repeats another.

    A small model takes what it is shown for the answer; what is clearly weaker than the best evidence misleads it.
    """
    chosen: dict[UUID, Segment] = {}
    for index in evidence.near_best(EVIDENCE_MARGIN):
        segment = spans[index].segment
        if len(chosen) == PROMPT_SEGMENTS:
            break
        if not any(_repeats(segment, other) for other in chosen.values()):
            chosen.setdefault(segment.pk, segment)
    return list(chosen.values())


def _repeats(segment: Segment, other: Segment) -> bool:
    """Whether another segment of the same document says nearly the same, as a scan's text and its caption do."""
    if segment.pk == other.pk or segment.document_id != other.document_id:
        return False
    return lexical_support(segment.text, other.text) >= REPEATED_SHARE


def sources_build(*, user: User, segments: Sequence[Segment], budget_chars: int) -> list[Source]:
    """Return the sources for a prompt, best first.

    Args:
        user: The asker; neighbours that they may not see are not shown.
        segments: Those with evidence, best first; each is shown before any neighbour is.
        budget_chars: For all sources together; what no longer fits is left out whole.
    """
    left_chars = budget_chars - sum(source_chars(segment.heading_path, segment.text) for segment in segments)
    groups = [[segment] for segment in segments]
    shown = {segment.pk for segment in segments}
    with acting_as(user):
        for group in groups:
            for other in _wanted(group[0], shown):
                cost_chars = source_chars((), other.text)
                if cost_chars > left_chars:
                    break
                left_chars -= cost_chars
                shown.add(other.pk)
                group.append(other)
    return [_joined(group) for group in groups]


def _wanted(segment: Segment, shown: Iterable[UUID]) -> list[Segment]:
    """Return the rest of a table, or the segments beside one of text or speech; the nearest first."""
    reach = TABLE_REACH if segment.kind == "table" else NEIGHBOURS
    found = Segment.objects.filter(
        document_id=segment.document_id,
        part_id=segment.part_id,
        kind=segment.kind,
        ordinal__range=(segment.ordinal - reach, segment.ordinal + reach),
    ).exclude(pk__in=list(shown))
    beside = sorted(found, key=lambda other: (abs(other.ordinal - segment.ordinal), other.ordinal))
    if segment.kind == "table":
        return [other for other in beside if _header(other) == _header(segment)]
    return [other for other in beside if other.kind in ("text", "speech")]


def _header(table: Segment) -> tuple[str, tuple[str, ...]]:
    return table.text.split("\n", 1)[0], tuple(table.heading_path)


def _joined(group: Sequence[Segment]) -> Source:
    ordered = sorted(group, key=lambda segment: segment.ordinal)
    texts = [ordered[0].text]
    for before, segment in itertools.pairwise(ordered):
        rows = segment.text
        if segment.kind == "table" and _header(segment) == _header(before):
            rows = rows.partition("\n")[2] or rows
        texts.append(rows)
    return Source(
        segment_ids=tuple(segment.pk for segment in ordered),
        heading_path=tuple(ordered[0].heading_path),
        text="\n".join(texts),
    )
