"""What a typed query says beyond its words: quoted words that must be adjacent, and beginnings of words."""

from __future__ import annotations

import dataclasses
import re

_QUOTED = re.compile('"([^"]+)"|“([^”]+)”|„([^“]+)“|«([^»]+)»')
_PREFIX = re.compile(r"(?<![\w*])(\w{2,})\*(?!\w)")
_WORD = re.compile(r"\w")


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """A typed query.

    Attributes:
        text: All of it without its signs, for vectors.
        words: The same without beginnings of words, for full text.
        phrases: Words that a hit holds next to each other, in this order.
        prefixes: Beginnings of words, in lower case.
    """

    text: str
    words: str
    phrases: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


def query_parse(typed: str) -> Query:
    """Read ``"quoted words"`` and ``beginning*`` out of what somebody typed."""
    phrases = tuple(next(filter(None, found)).strip() for found in _QUOTED.findall(typed))
    unquoted = _QUOTED.sub(lambda found: f" {next(filter(None, found.groups()))} ", typed)
    return Query(
        text=_spaced(_PREFIX.sub(r"\1", unquoted)) or typed.strip(),
        words=_spaced(_PREFIX.sub(" ", unquoted)),
        phrases=tuple(phrase for phrase in phrases if _WORD.search(phrase)),
        prefixes=tuple(dict.fromkeys(found.lower() for found in _PREFIX.findall(unquoted))),
    )


def query_plain(text: str) -> Query:
    """Take a text as it is: a question in a conversation quotes without meaning to filter."""
    return Query(text=text, words=text)


def _spaced(text: str) -> str:
    return " ".join(text.split())
