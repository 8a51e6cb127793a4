"""The legs of a search: the only SQL with vector and full-text operators.

Every leg filters by the collections the caller may see, and by all that was asked for, inside the SQL; forced row-level
security is the second lock. ``*_sql`` functions return what is executed, so that tests can EXPLAIN the very same.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from django.db import connection
from pgvector import HalfVector

from core.search.filters import Condition, filter_sql
from core.search.filters import Filter as WantedFilter
from core.search.terms import DOCUMENT_FREQUENCY_CAP, QueryTerms, Term
from core.segments.models import EmbeddingSpace

EXACT_SCAN_ROWS = 5000
"""Up to this many visible vectors are scanned exactly: a mostly filtered index is slower and misses rows."""

EF_SEARCH = 200
"""Recall@10 of 0.998 was measured at this value on 100,000 vectors of 384 dimensions."""

RANKED_ROWS = 2000
"""Matches whose cover density is computed: it reads every position, and only parts those that share the same words."""

MANY_TOLD_S = 60.0
"""How long a process believes that a scope holds more than ``EXACT_SCAN_ROWS`` vectors; counting them costs as much as
the search. When it no longer holds, the index finds too few and the exact scan answers all the same."""

MANY_TOLD_MAX = 1000

PHRASE = "phraseto_tsquery('pg_catalog.simple', %s)"
"""Quoted words are meant as they stand: no stems, no stop words; every segment is indexed that way too."""


_many_until_s: dict[tuple[int, frozenset[UUID]], float] = {}


class Statement(NamedTuple):
    """SQL with the values to bind."""

    sql: str
    values: list[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class LegHit:
    """One segment that a leg found; the score is the leg's own (cosine, or weighted share of matched terms)."""

    segment_id: UUID
    score: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a search may look at; every leg applies all of it inside its SQL.

    Attributes:
        collection_ids: Collections the caller may see, narrowed to those asked for.
        filter: Further conditions.
        phrases: Words that stand next to each other in every hit.
    """

    collection_ids: tuple[UUID, ...]
    filter: WantedFilter | None = None
    phrases: tuple[str, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether more than collections is asked for."""
        return self.filter is not None or bool(self.phrases)

    def condition(self) -> Condition:
        """Return the further conditions over the aliases s, d and p."""
        wanted = filter_sql(self.filter)
        phrases = [f"s.search_vector @@ {PHRASE}"] * len(self.phrases)
        return Condition(" AND ".join([wanted.sql, *phrases]), (*wanted.values, *self.phrases))


def planner_prepare() -> None:
    """Set how this transaction's searches are planned, in one round trip.

    Under row security estimates are far off, and a sequential scan reads rows nobody may see; an index fits every leg.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), "
            "set_config('hnsw.ef_search', %s, true), set_config('enable_seqscan', 'off', true)",
            [str(EF_SEARCH)],
        )


def full_text_leg(*, scope: Scope, terms: QueryTerms, limit: int) -> list[LegHit]:
    """Segments that hold at least one content word, by the weighted share of words they hold, then by cover density.

    A query of quoted stop words finds by the quoted words alone.
    """
    if not scope.collection_ids or not (terms.terms or scope.phrases):
        return []
    return [LegHit(segment_id=key, score=float(share)) for key, share in _rows(full_text_sql(scope, terms, limit))]


def full_text_sql(scope: Scope, terms: QueryTerms, limit: int) -> Statement:
    """Return the statement of the full-text leg: shares of all that match, the cover density of the best."""
    condition = scope.condition()
    if terms.terms:
        share = " + ".join("(s.search_vector @@ %s::tsquery)::int * %s" for _ in terms.terms)
        weights = [value for term in terms.terms for value in (term.tsquery, term.weight / terms.total_weight)]
        match, matched, ranked = "%s::tsquery", _any(_telling(terms.terms)), _any(terms.terms)
    else:
        share, weights, match, matched, ranked = "1.0", [], PHRASE, scope.phrases[0], scope.phrases[0]
    return Statement(
        f"SELECT m.id, m.share FROM (SELECT s.id, s.search_vector, {share} AS share "  # noqa: S608 - values are bound
        f"FROM segments_segment s {_joins(condition)}"
        f"WHERE s.search_vector @@ {match} AND s.collection_id = ANY(%s) AND {condition.sql} "
        "ORDER BY share DESC, s.id LIMIT %s) AS m "
        f"ORDER BY m.share DESC, ts_rank_cd(m.search_vector, {match}, 1) DESC, m.id LIMIT %s",
        [*weights, matched, list(scope.collection_ids), *condition.values, max(RANKED_ROWS, limit), ranked, limit],
    )


def _any(terms: Sequence[Term]) -> str:
    return " | ".join(term.tsquery for term in terms)


def _telling(terms: Sequence[Term]) -> Sequence[Term]:
    """Leave out words that stand nearly everywhere, where others are rarer: alone they are no reason for a hit."""
    return [term for term in terms if term.frequency < DOCUMENT_FREQUENCY_CAP] or terms


def vector_leg(
    *, scope: Scope, space: EmbeddingSpace, vector: Sequence[float], floor: float, limit: int
) -> list[LegHit]:
    """Segments nearest to a vector in one space, cosine at or above ``floor``, best first.

    Few visible vectors are scanned exactly. Many are searched by the index, which goes on until it has enough that
    may be seen; where it gives up before (``hnsw.max_scan_tuples``), the exact scan answers.
    """
    if not scope.collection_ids:
        return []
    exact = not _many(scope, space)
    rows = _rows(vector_sql(scope, space, vector, limit, exact=exact))
    if not exact and len(rows) < limit:
        rows = _rows(vector_sql(scope, space, vector, limit, exact=True))
    return [LegHit(segment_id=key, score=1.0 - distance) for key, distance in rows if 1.0 - distance >= floor]


def _many(scope: Scope, space: EmbeddingSpace) -> bool:
    told = (space.pk, frozenset(scope.collection_ids))
    if not scope.narrows and time.monotonic() < _many_until_s.get(told, 0.0):
        return True
    ((vectors,),) = _rows(vectors_counted_sql(scope, space, EXACT_SCAN_ROWS + 1))
    many = bool(vectors > EXACT_SCAN_ROWS)
    if many and not scope.narrows:
        if len(_many_until_s) >= MANY_TOLD_MAX:
            _many_until_s.clear()
        _many_until_s[told] = time.monotonic() + MANY_TOLD_S
    return many


def vector_sql(scope: Scope, space: EmbeddingSpace, vector: Sequence[float], limit: int, *, exact: bool) -> Statement:
    """Return the statement of a vector leg: over the index, or exact over all that may be seen."""
    # The index is on this very expression; adding zero makes it another one, so the planner scans exactly.
    distance = f"e.embedding::halfvec({space.dimensions}) <=> %s::halfvec({space.dimensions})"
    source, values = _vectors(scope, space)
    return Statement(
        f"SELECT e.segment_id, ({distance}){' + 0.0' if exact else ''} AS distance {source} ORDER BY distance LIMIT %s",
        [HalfVector(np.asarray(vector, dtype=np.float32)).to_text(), *values, limit],
    )


def vectors_counted_sql(scope: Scope, space: EmbeddingSpace, limit: int) -> Statement:
    """Return the statement that counts the vectors in scope, up to ``limit``."""
    source, values = _vectors(scope, space)
    return Statement(f"SELECT count(*) FROM (SELECT 1 {source} LIMIT %s) AS capped", [*values, limit])  # noqa: S608


def _vectors(scope: Scope, space: EmbeddingSpace) -> Statement:
    source = "FROM segments_embedding e "
    where = "e.space_id = %s AND e.collection_id = ANY(%s)"
    collections = list(scope.collection_ids)
    if not scope.narrows:
        return Statement(f"{source} WHERE {where}", [space.pk, collections])
    condition = scope.condition()
    return Statement(
        f"{source} JOIN segments_segment s ON s.id = e.segment_id {_joins(condition)}"
        f"WHERE {where} AND s.collection_id = ANY(%s) AND {condition.sql}",
        [space.pk, collections, collections, *condition.values],
    )


def _joins(condition: Condition) -> str:
    document = "JOIN documents_document d ON d.id = s.document_id " if condition.of_documents else ""
    return document + ("JOIN documents_part p ON p.id = s.part_id " if condition.of_parts else "")


def _rows(statement: Statement) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.values)
        rows: list[Any] = cursor.fetchall()
    return rows
