"""Condenses a follow-up question and the turns before it to one question that stands alone; pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from core.answers.wording import content_words, text_keys, word_keys
from core.search.terms import words
from inference.values import ChatMessage

HISTORY_TURNS = 4
"""Turns before the question that a conversation is condensed from; older ones no longer say what "it" is."""

_THINGS = frozenset(
    """
    it its this that these those there then they them their ones same
    sein seine seinen dies diese dieser dieses dort davon damit dafür sie ihr ihre
    cela ça celui celle elle elles ils lui leur leurs
    eso esto ese esa aquello allí ellos ellas suyo su sus
    esso essa questo questa quello quella suo sua loro
    isso isto esse aquilo deles delas dat daar ervan
    это этот эта эти он она они его её их там
    """.split()  # noqa: SIM905 - prose reads better than a hundred quoted words
)
_PERSONS = frozenset("he she him her his hers er ihm ihn lui él ella egli lei ele ela hij zij hem haar".split())  # noqa: SIM905
_ELLIPSIS = re.compile(
    r"^\W*(and|but|or|also|what about|how about|und|aber|was ist mit|et|mais|y|pero|e|ma|mas|en|maar|а|и|но)\b",
    re.IGNORECASE,
)
_DETERMINER = re.compile(
    r"\b(?:the|a|an|my|our|der|die|das|den|dem|des|ein|eine|einen|le|la|les|un|une|el|los|las|una|il|lo|gli|de|het|een|o|os"
    r"|as)\s+|\b(?:l|dell|all|d)['’]",
    re.IGNORECASE,
)
_OF = re.compile(r"\b(?:of|von|du|des|del|della|dell|do|da|van)\b", re.IGNORECASE)
_NAME = re.compile(r"\b[^\W\d_a-zà-ÿа-я][\w’'-]*(?:\s+(?:(?:of|de|van|von)\s+)?[^\W\d_a-zà-ÿа-я][\w’'-]*)*")
_NUMBER = re.compile(r"\d")
_SHORT_WORDS = 3
"""A question of so few content words that begins with a conjunction leaves the rest to the question before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question of a conversation, as it was searched, and the answer without its marks; empty when refused."""

    question: str
    answer: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condensed:
    """A question that stands alone.

    Attributes:
        question: What is searched and asked.
        carried: Words that come from the turns before.
        from_answer: Whether some of them stand in an answer: those are words of its sources.
    """

    question: str
    carried: tuple[str, ...] = ()
    from_answer: bool = False


def question_condense(question: str, history: Sequence[Turn]) -> Condensed:
    """Return the question with what it leaves to the turns before it; unchanged where it leaves nothing.

    Args:
        question: As asked.
        history: The turns before, oldest first.
    """
    if not history or not question.strip():
        return Condensed(question=question)
    last = history[-1]
    said = set(words(question))
    if _ELLIPSIS.search(question) and len(content_words(question)) <= _SHORT_WORDS:
        return _continued(question, last)
    if said & _PERSONS:
        names = _news_names(last)
        if names:
            return Condensed(question=_with(question, names), carried=names, from_answer=True)
    if said & (_THINGS | _PERSONS):
        topic = _topic(question, last.question)
        return Condensed(question=_with(question, topic), carried=topic)
    return Condensed(question=question)


def condense_messages(question: str, history: Sequence[Turn]) -> tuple[ChatMessage, ...]:
    """Build the prompt by which a larger language model condenses; its answer is the question alone."""
    told = "\n".join(f"Question: {turn.question}\nAnswer: {turn.answer or '(none)'}" for turn in history)
    system = (
        "Rewrite the last question so that it can be understood without the conversation: replace pronouns and "
        "omissions by what they stand for. Keep its language. Do not answer it. Reply with the question alone."
    )
    return (
        ChatMessage(role="system", content=system),
        ChatMessage(role="user", content=f"{told}\n\nLast question: {question}"),
    )


def _continued(question: str, last: Turn) -> Condensed:
    """Put the question before in front, without what this one replaces: its number by another number."""
    replaced = bool(_NUMBER.search(question))
    kept = " ".join(word for word in last.question.split() if not (replaced and _NUMBER.search(word)))
    carried = tuple(dict.fromkeys(word for word in content_words(kept) if word not in set(words(question))))
    return Condensed(question=f"{kept} {question}", carried=carried)


def _topic(question: str, before: str) -> tuple[str, ...]:
    """Return the words of what the question before was about: its noun phrase, less what is asked anew."""
    keys = text_keys((question,))
    phrase = _noun_phrase(before)
    found = [word for word in content_words(phrase) if keys.isdisjoint(word_keys(word))]
    found = found or [word for word in content_words(before) if keys.isdisjoint(word_keys(word))]
    return tuple(dict.fromkeys(found))


def _noun_phrase(text: str) -> str:
    determiner = _DETERMINER.search(text)
    if determiner is None:
        return text
    phrase = text[determiner.end() :]
    whole = _OF.search(phrase)
    return phrase[whole.end() :] if whole is not None and content_words(phrase[whole.end() :]) else phrase


def _news_names(turn: Turn) -> tuple[str, ...]:
    asked = set(words(turn.question))
    names = [match.group() for match in _NAME.finditer(turn.answer) if not set(words(match.group())) & asked]
    # The first word of a sentence is no name, unless it goes on.
    first = re.match(r"\W*(\w+)\b", turn.answer)
    alone = first.group(1) if first else ""
    return tuple(dict.fromkeys(name for name in names if name != alone or len(names) == 1))[:2]


def _with(question: str, carried: Sequence[str]) -> str:
    return f"{question} ({' '.join(carried)})" if carried else question
