"""The text space: a sentence-transformers model from a local folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from inference.errors import InputRejected
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.sentence import DEFAULT_BATCH_TOKENS, SentenceEncoder
from inference.values import Vectors


class SentenceTransformersEmbedder:
    """Text to unit vectors with a sentence-transformers folder.

    Options:
        batch_tokens: Padded tokens in one forward pass.
    """

    recipe_version = "1"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        torch.set_num_threads(threads)
        chosen = dict(options or {})
        with library_errors("sentence_transformers", f"loading {folders[0]}"):
            self._encoder = SentenceEncoder(
                folders[0], device=device, batch_tokens=int(chosen.pop("batch_tokens", DEFAULT_BATCH_TOKENS))
            )
        if chosen:
            raise InputRejected(
                f"sentence_transformers does not know the options {sorted(chosen)}; it knows batch_tokens"
            )
        self.dimensions = self._encoder.dimensions

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed each text on its own; longer than the model's window is truncated at a token boundary."""
        with library_errors("sentence_transformers", f"embedding {len(batch)} texts"):
            return self._encoder.encode(batch)
