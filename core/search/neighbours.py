"""What stands around a segment: the turns before and after it, or the passages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from core.segments.models import Segment

NEIGHBOURS_MAX = 5

_AROUND = """
    SELECT w.id, found.id
    FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::integer[], %s::text[])
        AS w (id, document_id, part_id, ordinal, kind)
    CROSS JOIN LATERAL (
        (SELECT n.id FROM segments_segment n
         WHERE n.document_id = w.document_id AND n.part_id = w.part_id AND n.ordinal < w.ordinal
           AND n.kind = ANY (CASE w.kind WHEN 'speech' THEN %s::text[] ELSE %s::text[] END)
         ORDER BY n.ordinal DESC LIMIT %s)
        UNION ALL
        (SELECT n.id FROM segments_segment n
         WHERE n.document_id = w.document_id AND n.part_id = w.part_id AND n.ordinal > w.ordinal
           AND n.kind = ANY (CASE w.kind WHEN 'speech' THEN %s::text[] ELSE %s::text[] END)
         ORDER BY n.ordinal LIMIT %s)) AS found
"""

_TURNS = ["speech"]
_WORDS = ["text", "table", "caption", "speech"]


def segments_around(segments: Sequence[Segment], *, each: int) -> dict[UUID, tuple[Segment, ...]]:
    """Return up to ``each`` neighbours before and after each segment, in reading order; as the acting user.

    Of speech these are other turns of the recording; of anything else the text, tables and captions of the same part.
    """
    columns: list[Any] = [
        [one.pk for one in segments],
        [one.document_id for one in segments],
        [one.part_id for one in segments],
        [one.ordinal for one in segments],
        [one.kind for one in segments],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_AROUND, [*columns, _TURNS, _WORDS, each, _TURNS, _WORDS, each])
        pairs = cursor.fetchall()
    found = Segment.objects.defer("search_vector", "words", "spans").in_bulk([key for _, key in pairs])
    around: dict[UUID, list[Segment]] = {one.pk: [] for one in segments}
    for of, key in pairs:
        if key in found:
            around[of].append(found[key])
    return {of: tuple(sorted(ones, key=lambda one: one.ordinal)) for of, ones in around.items()}
