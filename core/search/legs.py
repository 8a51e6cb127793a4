"""The legs of a search: the only SQL with vector and full-text operators.

Every leg filters by the collections the caller may see inside the SQL; forced row-level security is the second lock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from django.db.models import FloatField, QuerySet
from django.db.models.functions import Cast
from pgvector import HalfVector
from pgvector.django import CosineDistance, HalfVectorField

from core.search.terms import QueryTerms
from core.segments.models import Embedding, EmbeddingSpace, Segment

EXACT_SCAN_ROWS = 5000
"""Up to this many visible vectors are scanned exactly: a mostly filtered index is slower and misses rows."""

EF_SEARCH = 200
"""Recall@10 of 0.998 was measured at this value on 100,000 vectors of 384 dimensions."""


@dataclasses.dataclass(frozen=True, slots=True)
class LegHit:
    """One segment that a leg found; the score is the leg's own (cosine, or weighted share of matched terms)."""

    segment_id: UUID
    score: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a search may look at; every leg applies all of it inside its SQL."""

    collection_ids: tuple[UUID, ...]
    kinds: tuple[str, ...] = ()
    document_ids: tuple[UUID, ...] = ()

    def segments(self) -> QuerySet[Segment]:
        """Return the segments within this scope."""
        found = Segment.objects.filter(collection_id__in=self.collection_ids)
        if self.kinds:
            found = found.filter(kind__in=self.kinds)
        if self.document_ids:
            found = found.filter(document_id__in=self.document_ids)
        return found


def full_text_leg(*, scope: Scope, terms: QueryTerms, limit: int) -> list[LegHit]:
    """Segments that hold at least one content word, by the weighted share of words they hold, then by cover density."""
    if not terms.terms:
        return []
    any_term = " | ".join(term.tsquery for term in terms.terms)
    share = " + ".join("(search_vector @@ %s::tsquery)::int * %s" for _ in terms.terms)
    weights = [value for term in terms.terms for value in (term.tsquery, term.weight / terms.total_weight)]
    conditions, condition_values = _conditions(scope)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, {share} AS share FROM segments_segment "  # noqa: S608 - built from constants, values are bound
            f"WHERE search_vector @@ %s::tsquery AND {conditions} "
            "ORDER BY share DESC, ts_rank_cd(search_vector, %s::tsquery, 1) DESC, id LIMIT %s",
            [*weights, any_term, *condition_values, any_term, limit],
        )
        return [LegHit(segment_id=row[0], score=float(row[1])) for row in cursor.fetchall()]


def vector_leg(
    *, scope: Scope, space: EmbeddingSpace, vector: Sequence[float], floor: float, limit: int
) -> list[LegHit]:
    """Segments nearest to a vector in one space, cosine at or above ``floor``, best first."""
    typed = Cast("embedding", HalfVectorField(dimensions=space.dimensions))
    distance: Any = CosineDistance(typed, HalfVector(np.asarray(vector, dtype=np.float32)))
    found = Embedding.objects.filter(space_id=space.pk, collection_id__in=scope.collection_ids)
    if scope.kinds:
        found = found.filter(segment__kind__in=scope.kinds)
    if scope.document_ids:
        found = found.filter(segment__document_id__in=scope.document_ids)
    if _at_most(found, EXACT_SCAN_ROWS):
        # Adding zero makes the expression another one than the index's, so the planner scans exactly.
        distance = Cast(distance, FloatField()) + 0.0
    else:
        _tune_index_scan()
    rows = found.annotate(distance=distance).order_by("distance").values_list("segment_id", "distance")[:limit]
    return [LegHit(segment_id=key, score=1.0 - d) for key, d in rows if 1.0 - d >= floor]


def _at_most(found: QuerySet[Embedding], rows: int) -> bool:
    return found.order_by()[: rows + 1].count() <= rows


def _tune_index_scan() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %s, true)",
            [str(EF_SEARCH)],
        )


def _conditions(scope: Scope) -> tuple[str, list[Any]]:
    conditions = ["collection_id = ANY(%s)"]
    values: list[Any] = [list(scope.collection_ids)]
    if scope.kinds:
        conditions.append("kind = ANY(%s)")
        values.append(list(scope.kinds))
    if scope.document_ids:
        conditions.append("document_id = ANY(%s)")
        values.append(list(scope.document_ids))
    return " AND ".join(conditions), values
