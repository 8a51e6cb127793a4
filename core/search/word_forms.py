"""Words in their dictionary form, so that "wrote" meets "written" and "stood" meets "stand"."""

from __future__ import annotations

import functools

import simplemma
from simplemma.strategies import LOW_MEMORY_DICTIONARY_FACTORY, DefaultStrategy

LANGUAGE_CODES = {
    "english": "en",
    "german": "de",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "dutch": "nl",
    "russian": "ru",
    "swedish": "sv",
    "danish": "da",
    "norwegian": "nb",
    "finnish": "fi",
    "hungarian": "hu",
    "romanian": "ro",
    "turkish": "tr",
    "greek": "el",
}
"""Text search configurations of PostgreSQL and the code of their dictionary."""

_CACHED_WORDS = 50_000


@functools.lru_cache(_CACHED_WORDS)
def lemma(word: str, configuration: str) -> str:
    """Return the dictionary form of a lower-case word; the word itself where the dictionary does not know it.

    Args:
        word: One word without spaces.
        configuration: Name of a text search configuration; the first word of a language loads its dictionary.
    """
    code = LANGUAGE_CODES.get(configuration)
    if code is None or not word.isalpha():
        return word
    return _lemmatizer().lemmatize(word, lang=code).lower()


@functools.cache
def _lemmatizer() -> simplemma.Lemmatizer:
    # The dictionaries are read in place: 3 to 20 MiB a language where the default takes 25 to 110.
    return simplemma.Lemmatizer(
        lemmatization_strategy=DefaultStrategy(dictionary_factory=LOW_MEMORY_DICTIONARY_FACTORY)
    )
