"""What speaks for each span as the answer to a question: its words, its meaning, the kind of answer it holds."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from core.answers.answer_type import AnswerType, answer_type, counted_word, holds, holds_agent
from core.answers.attribution import Span
from core.answers.wording import DEFAULT_LANGUAGE, content_words, text_keys, word_keys
from core.search.terms import QueryTerms, words
from inference.values import Vectors

FEATURES = (
    "own",
    "near",
    "around",
    "own_soft",
    "around_soft",
    "weakest",
    "weakest_soft",
    "similarity",
    "news",
    "kind_found",
    "kind_missing",
    "rank",
    "fragment",
    "number_missing",
    "name_missing",
    "counted_missing",
)
"""Columns of ``span_features``.

own, near, around: weighted share of the question's content words in the span, in it and its neighbours, in its segment.
own_soft, around_soft: the same, where a word of like meaning counts in part.
weakest, weakest_soft: how well the worst matched content word is found around.
similarity: cosine of the question and the span under its headings.
news: how much the span adds to the question.
kind_found, kind_missing: whether it holds the kind of answer that is asked for, where one is known.
rank: 1 for a span of the segment that was found first, 1/2 for the second ...
fragment: whether it is a few words of prose, as a heading is.
number_missing, name_missing, counted_missing: whether a number, a name or what is to be counted is nowhere around.
"""

EMBEDDED_SPANS = 48
SOFT_SPANS = 12
"""Spans that are compared by the meaning of single words, the others by their forms alone."""

CARRIED_WEIGHT = 0.5
NEWS_WORDS = 2
FRAGMENT_WORDS = 3
SOFT_FLOOR, SOFT_WIDTH = 0.3, 0.6
"""Cosine of two words from which they begin to count as alike, and how much further they are the same."""

AGENT_SHARE = 0.6
"""What "by" and a name are worth for the verb of a question that asks who did something."""

Embedder = Callable[[Sequence[str]], Vectors]
Row = npt.NDArray[np.float64]

_NAME = re.compile(r"\b[^\W\d_a-zà-ÿа-я][\w’'-]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with what is known about it.

    Attributes:
        text: As it was searched.
        vector: Of the ``text`` space.
        terms: Its content words and their weights; None where it has none.
        carried: Lower-case words from turns before: they say what it is about, not what is asked.
    """

    text: str
    vector: Sequence[float]
    terms: QueryTerms | None
    carried: frozenset[str] = frozenset()

    @property
    def language(self) -> str:
        """The text search configuration of the question."""
        return self.terms.configuration if self.terms is not None else DEFAULT_LANGUAGE


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """One content word of the question."""

    word: str
    keys: frozenset[str]
    whole: tuple[str, ...]
    weight: float

    def is_in(self, keys: set[str], lowered: str) -> bool:
        # A date, a path or a part number is one lexeme of the query, but several words of a text.
        return not self.keys.isdisjoint(keys) or any(lexeme in lowered for lexeme in self.whole)


class QuestionWords:
    """The content words of a question, and how texts hold them."""

    def __init__(self, asked: Asked) -> None:
        self.language = asked.language
        self.wanted = _wanted(asked)
        self.weights = np.array([one.weight for one in self.wanted])
        self.is_number = np.array([any(map(str.isdigit, one.word)) for one in self.wanted], dtype=bool)
        self.is_name = np.array([one.word in _names(asked) for one in self.wanted], dtype=bool) & ~self.is_number

    def exact(self, text: str) -> Row:
        """Return 1 for each content word that stands in a text in some form, else 0."""
        keys, lowered = text_keys((text,), self.language), text.lower()
        return np.array([float(one.is_in(keys, lowered)) for one in self.wanted])

    def share(self, matches: Row) -> float:
        """Return the weighted share of matched words."""
        return float(matches @ self.weights) / float(self.weights.sum()) if len(self.weights) else 0.0


def _wanted(asked: Asked) -> list[_Wanted]:
    terms = asked.terms.terms if asked.terms is not None else ()
    present = [term.weight for term in terms if term.frequency]
    # A word that occurs nowhere tells of a paraphrase as often as of an absent fact: it weighs as much as the others.
    usual = float(np.mean(present)) if present else 1.0
    found = []
    for term in terms:
        weight = term.weight if term.frequency else usual
        word = term.word or term.lexemes[0]
        keys = frozenset(
            key for lexeme in term.lexemes if lexeme.isalnum() for key in word_keys(lexeme, asked.language)
        )
        whole = tuple(lexeme for lexeme in term.lexemes if not lexeme.isalnum())
        found.append(_Wanted(word, keys, whole, weight * (CARRIED_WEIGHT if word in asked.carried else 1.0)))
    return found


def _names(asked: Asked) -> set[str]:
    if asked.language == "german":  # there every noun has a capital
        return set()
    first = next(iter(words(asked.text)), "")
    return {match.group().lower() for match in _NAME.finditer(asked.text)} - {first}


def spans_select(asked: Asked, spans: Sequence[Span], ranks: Mapping[UUID, int]) -> list[Span]:
    """Return the spans worth a closer look, at most ``EMBEDDED_SPANS``, in their order."""
    if len(spans) <= EMBEDDED_SPANS:
        return list(spans)
    question = QuestionWords(asked)

    def promise(span: Span) -> float:
        own, context = question.exact(span.meaning), question.exact(span.context)
        return question.share(own) + 0.5 * question.share(np.maximum(own, context)) + 0.3 / (1 + ranks[span.segment.pk])

    best = sorted(range(len(spans)), key=lambda index: -promise(spans[index]))[:EMBEDDED_SPANS]
    return [spans[index] for index in sorted(best)]


def span_features(
    *,
    asked: Asked,
    spans: Sequence[Span],
    span_vectors: Vectors,
    ranks: Mapping[UUID, int],
    embed: Embedder,
) -> npt.NDArray[np.float64]:
    """Return ``FEATURES`` of every span, shape (spans, features).

    Args:
        asked: The question.
        spans: Those of ``spans_select``.
        span_vectors: Of ``span.embedded`` of each.
        ranks: Rank of each segment in the search, from 0.
        embed: Of the ``text`` space; called once, with single words.
    """
    question = QuestionWords(asked)
    cosines = span_vectors @ np.asarray(asked.vector, dtype=np.float32)
    own = [question.exact(span.meaning) for span in spans]
    near = [np.maximum(own[index], question.exact(_near(span))) for index, span in enumerate(spans)]
    texts = [_around(span) for span in spans]
    exact = {text: question.exact(text) for text in set(texts)}
    around = [np.maximum(near[index], exact[text]) for index, text in enumerate(texts)]
    soft = _soft_matches(question, spans, own=own, around=around, cosines=cosines, embed=embed)
    kind = answer_type(asked.text)
    counted = counted_word(asked.text)
    asked_keys = text_keys((asked.text,), asked.language)
    rows = []
    for index, span in enumerate(spans):
        own_soft, around_soft = soft.get(index, (own[index], around[index]))
        if kind is AnswerType.PERSON and holds_agent(f"{span.context} {span.quote}"):
            own_soft, around_soft = np.maximum(own_soft, AGENT_SHARE), np.maximum(around_soft, AGENT_SHARE)
            own_soft, around_soft = (
                _but_names(question, own_soft, own[index]),
                _but_names(question, around_soft, around[index]),
            )
        found = kind is not None and holds(kind, span.quote, question=asked.text, context=span.context)
        missing = around[index] == 0
        rows.append(
            (
                question.share(own[index]),
                question.share(near[index]),
                question.share(around[index]),
                question.share(own_soft),
                question.share(around_soft),
                float(around[index].min(initial=1.0)),
                float(around_soft.min(initial=1.0)),
                float(cosines[index]),
                _news(span.quote, asked_keys, asked.language),
                float(found),
                float(kind is not None and not found),
                1.0 / (1 + ranks[span.segment.pk]),
                float(span.segment.kind in ("text", "speech") and len(words(span.quote)) <= FRAGMENT_WORDS),
                float(bool((missing & question.is_number).any())),
                float(bool((missing & question.is_name).any())),
                float(counted is not None and _counted_missing(counted, question, around_soft, texts[index])),
            )
        )
    return np.array(rows, dtype=np.float64).reshape(-1, len(FEATURES))


def _but_names(question: QuestionWords, matches: Row, exact: Row) -> Row:
    return np.where(question.is_name | question.is_number, exact, matches)


def _near(span: Span) -> str:
    return f"{span.context} {span.beside}"


def _around(span: Span) -> str:
    return f"{span.context} {span.around}"


def _news(quote: str, asked_keys: set[str], language: str) -> float:
    news = {word for word in content_words(quote) if asked_keys.isdisjoint(word_keys(word, language))}
    return min(1.0, len(news) / NEWS_WORDS)


def _counted_missing(counted: str, question: QuestionWords, around_soft: Row, text: str) -> bool:
    for index, one in enumerate(question.wanted):
        if one.word == counted:
            return bool(around_soft[index] < AGENT_SHARE)
    return word_keys(counted, question.language).isdisjoint(text_keys((text,), question.language))


def _soft_matches(
    question: QuestionWords,
    spans: Sequence[Span],
    *,
    own: Sequence[Row],
    around: Sequence[Row],
    cosines: Vectors,
    embed: Embedder,
) -> dict[int, tuple[Row, Row]]:
    """Return for the most promising spans how well each content word is matched by words of like meaning."""
    if not question.wanted:
        return {}
    promise = [
        question.share(own[index]) + question.share(around[index]) + float(cosines[index])
        for index in range(len(spans))
    ]
    chosen = sorted(range(len(spans)), key=lambda index: -promise[index])[:SOFT_SPANS]
    chosen = [index for index in chosen if around[index].min() < 1.0 or own[index].min() < 1.0]
    vocabularies = {index: _vocabulary(spans[index].meaning) for index in chosen}
    surroundings = {index: _vocabulary(_around(spans[index])) for index in chosen}
    known = sorted(
        set().union(*vocabularies.values(), *surroundings.values(), *([one.word] for one in question.wanted))
    )
    if not chosen:
        return {}
    vectors = dict(zip(known, embed(known), strict=True))
    asked = np.array([vectors[one.word] for one in question.wanted])

    def alike(vocabulary: Sequence[str], exact: Row) -> Row:
        if not vocabulary:
            return exact
        best = (asked @ np.array([vectors[word] for word in vocabulary]).T).max(axis=1)
        soft = np.clip((best - SOFT_FLOOR) / SOFT_WIDTH, 0.0, 1.0)
        # A number or a name is that one or another one.
        return np.maximum(exact, np.where(question.is_number, 0.0, soft))

    return {
        index: (alike(vocabularies[index], own[index]), alike(surroundings[index], around[index])) for index in chosen
    }


@functools.lru_cache(512)
def _vocabulary(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in content_words(text) if not word.isdigit()))
