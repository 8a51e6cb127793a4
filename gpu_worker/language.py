"""Which language a text is in, from its letters; a short text is taken to be in its document's language."""

from __future__ import annotations

import functools
import threading
from typing import Any

LETTERS_MIN = 80
PROBABILITY_MIN = 0.9
SAMPLE_CHARS = 20_000

_lock = threading.Lock()


def language_of(text: str, fallback: str = "") -> str:
    """Return the ISO 639-1 code of a text, or ``fallback`` where it is too short or too mixed to tell."""
    sample = text[:SAMPLE_CHARS]
    if sum(character.isalpha() for character in sample) < LETTERS_MIN:
        return fallback
    with _lock:
        code, probability = _identifier().classify(sample)
    return str(code) if probability >= PROBABILITY_MIN else fallback


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
