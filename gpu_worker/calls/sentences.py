"""Vectors of sentences and single words for weighing evidence; words come again and again, so they are remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from gpu_worker import services
from inference.values import Vectors

DEADLINE_S = 60.0
REMEMBERED_WORDS = 20_000
"""Of 384 dimensions these take 30 MiB."""


class SentenceVectors:
    """Embeds texts with the ``text`` role; single words only once."""

    def __init__(self) -> None:
        self._words: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return float32 unit vectors, shape (texts, dimensions), in the texts' order."""
        with self._lock:
            known = {text: self._words[text] for text in texts if text in self._words}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            with services.engines().lease(role="text", priority="interactive", deadline_s=DEADLINE_S) as embedder:
                found = dict(zip(missing, embedder.embed_texts(missing), strict=True))
            self._remember({text: vector for text, vector in found.items() if " " not in text})
            known |= found
        return np.stack([known[text] for text in texts])

    def _remember(self, words: dict[str, Vectors]) -> None:
        with self._lock:
            self._words.update(words)
            while len(self._words) > REMEMBERED_WORDS:
                self._words.popitem(last=False)


sentences_embed = SentenceVectors()
