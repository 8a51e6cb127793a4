"""What a query is made of for full text: its language by stop words, its lexemes and how rare they are."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from uuid import UUID

from django.db import connection

CONFIGURATIONS = ("english", "german", "french", "spanish", "italian", "portuguese", "dutch")
"""Text search configurations of PostgreSQL that a query is tried in, the default first."""

DOCUMENT_FREQUENCY_CAP = 2000
"""Counting stops here: a term this frequent says little, and counting on would cost more than it tells."""


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """One content word of the query.

    Attributes:
        lexemes: Spellings that count as this word: stemmed and exact.
        weight: Inverse document frequency among what the caller may see; higher is rarer.
    """

    lexemes: tuple[str, ...]
    weight: float

    @property
    def tsquery(self) -> str:
        """The term as tsquery text: any of its lexemes."""
        return (
            "("
            + " | ".join("'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'" for lexeme in self.lexemes)
            + ")"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class QueryTerms:
    """The language and the content words of a query; no terms when it holds only stop words."""

    configuration: str
    terms: tuple[Term, ...]

    @property
    def total_weight(self) -> float:
        """Sum of the weights of all terms."""
        return sum(term.weight for term in self.terms)


def language_configuration(text: str) -> str:
    """Return the configuration whose stop words the text uses most; English when none stands out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.name, length(to_tsvector(c.name::regconfig, %s)) FROM unnest(%s::text[]) AS c(name)",
            [text, list(CONFIGURATIONS)],
        )
        lengths = dict(cursor.fetchall())
    return min(CONFIGURATIONS, key=lambda name: (lengths[name], CONFIGURATIONS.index(name)))


def query_terms(text: str, collection_ids: Sequence[UUID]) -> QueryTerms:
    """Split a query into content words with weights; runs as the acting user, so rarity is among visible segments."""
    configuration = language_configuration(text)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.lexeme, e.lexeme FROM unnest(to_tsvector(%s::regconfig, %s)) AS e(lexeme, positions, w) "
            "JOIN unnest(to_tsvector('simple', %s)) AS s(lexeme, positions, w) ON s.positions && e.positions",
            [configuration, text, text],
        )
        spellings: dict[str, set[str]] = {}
        for exact, stemmed in cursor.fetchall():
            spellings.setdefault(stemmed, {stemmed}).add(exact)
    terms = [Term(lexemes=tuple(sorted(group)), weight=0.0) for _, group in sorted(spellings.items())]
    return QueryTerms(configuration=configuration, terms=tuple(_weighted(terms, collection_ids)))


def _weighted(terms: Sequence[Term], collection_ids: Sequence[UUID]) -> list[Term]:
    weighted = []
    with connection.cursor() as cursor:
        for term in terms:
            cursor.execute(
                "SELECT count(*) FROM (SELECT 1 FROM segments_segment WHERE search_vector @@ %s::tsquery "
                "AND collection_id = ANY(%s) LIMIT %s) AS capped",
                [term.tsquery, list(collection_ids), DOCUMENT_FREQUENCY_CAP],
            )
            frequency = cursor.fetchone()[0]
            weight = math.log(1 + DOCUMENT_FREQUENCY_CAP / (1 + frequency))
            weighted.append(dataclasses.replace(term, weight=weight))
    return weighted


_WORD = re.compile(r"\w+", re.UNICODE)


def words(text: str) -> list[str]:
    """Return the lower-cased words of a text in order."""
    return [match.group().lower() for match in _WORD.finditer(text)]
