"""What a query is made of for full text: its language by stop words, its lexemes and how rare they are."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from core.search.word_forms import LANGUAGE_CODES, lemma

CONFIGURATIONS = tuple(LANGUAGE_CODES)
"""Text search configurations of PostgreSQL that a query is tried in, the default first."""

_QUESTION_WORDS = {
    "french": "quel quelle quels quelles combien comment pourquoi quand où quoi est-ce fait",
    "spanish": "cuál cuáles cuánto cuánta cuántos cuántas cómo cuándo dónde quién quiénes vale",
    "italian": "quale quali quanto quanta quanti quante perché dove chi cosa",
    "portuguese": "qual quais quanto quanta quantos quantas quando onde quem porquê têm",
    "german": "welche welcher welches wieviel wozu woher wohin wofür wann warum wer wem wen",
    "dutch": "welke hoeveel hoe waar waarom wanneer wie",
    "russian": "какой какая какое какие каков какова сколько когда где куда откуда кто почему зачем",
}
"""Words that ask; not all of them are stop words, but in a short question they tell its language best."""

DOCUMENT_FREQUENCY_CAP = 2000
"""Counting stops here: a term this frequent says little, and counting on would cost more than it tells."""

QUERIES_REMEMBERED = 2000
"""Queries whose words each process remembers; asking the dictionaries again costs three round trips."""

FREQUENCIES = """
    SELECT (SELECT count(*) FROM (SELECT 1 FROM segments_segment s
            WHERE s.search_vector @@ t.query::tsquery AND s.collection_id = ANY(%s) LIMIT %s) AS capped)
    FROM unnest(%s::text[]) WITH ORDINALITY AS t(query, position) ORDER BY position
"""
"""In how many visible segments each of several terms stands, in one statement."""


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """One content word of the query.

    Attributes:
        lexemes: Spellings that count as this word: stemmed and exact, of the word itself and of its dictionary form.
        weight: Inverse document frequency among what the caller may see; higher is rarer.
        frequency: Visible segments that hold it, counted up to ``DOCUMENT_FREQUENCY_CAP``.
        word: As it stands in the query, lower-cased.
        prefix: Whether the lexemes are beginnings of words.
    """

    lexemes: tuple[str, ...]
    weight: float
    frequency: int = 1
    word: str = ""
    prefix: bool = False

    @property
    def tsquery(self) -> str:
        """The term as tsquery text: any of its lexemes."""
        quoted = ("'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'" for lexeme in self.lexemes)
        return "(" + " | ".join(one + (":*" if self.prefix else "") for one in quoted) + ")"


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
    """Return the configuration whose stop words and question words the text uses most; English when none stands out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.name, length(to_tsvector(c.name::regconfig, %s)) FROM unnest(%s::text[]) AS c(name)",
            [text, list(CONFIGURATIONS)],
        )
        lengths = dict(cursor.fetchall())
    said = set(words(text))
    asking = {name: len(said.intersection(_QUESTION_WORDS.get(name, "").split())) for name in CONFIGURATIONS}
    return min(CONFIGURATIONS, key=lambda name: (lengths[name] - asking[name], CONFIGURATIONS.index(name)))


def query_terms(text: str, collection_ids: Sequence[UUID], prefixes: Sequence[str] = ()) -> QueryTerms:
    """Split a query into content words with weights; runs as the acting user, so rarity is among visible segments.

    Args:
        text: The query.
        collection_ids: Where rarity is counted.
        prefixes: Beginnings of words that are terms of their own.
    """
    configuration, terms = _terms(text)
    beginnings = [Term(lexemes=(prefix,), weight=0.0, word=prefix, prefix=True) for prefix in prefixes]
    return QueryTerms(configuration=configuration, terms=tuple(_weighted([*terms, *beginnings], collection_ids)))


@functools.lru_cache(QUERIES_REMEMBERED)
def _terms(text: str) -> tuple[str, tuple[Term, ...]]:
    # The same words give the same terms: only dictionaries are asked, nothing that belongs to anybody.
    configuration = language_configuration(text)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.lexeme, e.lexeme FROM unnest(to_tsvector(%s::regconfig, %s)) AS e(lexeme, positions, w) "
            "JOIN unnest(to_tsvector('simple', %s)) AS s(lexeme, positions, w) ON s.positions && e.positions",
            [configuration, text, text],
        )
        words_of: dict[str, set[str]] = {}
        for exact, stemmed in cursor.fetchall():
            words_of.setdefault(stemmed, set()).add(exact)
    stems = _lemma_stems({exact for group in words_of.values() for exact in group}, configuration)
    return configuration, tuple(
        Term(
            lexemes=tuple(sorted({stemmed, *group, *(stem for exact in group for stem in stems.get(exact, ()))})),
            weight=0.0,
            word=min(group),
        )
        for stemmed, group in sorted(words_of.items())
    )


def _lemma_stems(exact_words: set[str], configuration: str) -> dict[str, tuple[str, ...]]:
    """Return what the dictionary form of each word that has another one is searched as: itself and its stem."""
    lemmas = {word: lemma(word, configuration) for word in exact_words}
    changed = {word: form for word, form in lemmas.items() if form != word}
    if not changed:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.form, tsvector_to_array(to_tsvector(%s::regconfig, w.form)) FROM unnest(%s::text[]) AS w(form)",
            [configuration, sorted(set(changed.values()))],
        )
        stems = dict(cursor.fetchall())
    # A form that is a stop word ("be") would match everything.
    return {word: (form, *stems[form]) for word, form in changed.items() if stems[form]}


def _weighted(terms: Sequence[Term], collection_ids: Sequence[UUID]) -> list[Term]:
    if not terms:
        return []
    with connection.cursor() as cursor:
        cursor.execute(FREQUENCIES, [list(collection_ids), DOCUMENT_FREQUENCY_CAP, [term.tsquery for term in terms]])
        frequencies = [row[0] for row in cursor.fetchall()]
    return [
        dataclasses.replace(term, weight=math.log(1 + DOCUMENT_FREQUENCY_CAP / (1 + frequency)), frequency=frequency)
        for term, frequency in zip(terms, frequencies, strict=True)
    ]


_WORD = re.compile(r"[^\W_]+", re.UNICODE)


def words(text: str) -> list[str]:
    """Return the lower-cased words of a text in order."""
    return [match.group().lower() for match in _WORD.finditer(text)]
