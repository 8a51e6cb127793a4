"""Sentences to unit vectors with a local sentence-transformers folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from inference.errors import EngineBroken
from inference.preprocessing.token_batches import text_clean, token_batches
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.values import Vectors

DEFAULT_BATCH_TOKENS = 4096


class SentenceEncoder:
    """A sentence model that batches by tokens, shortest texts first, so that little of a batch is padding.

    Attributes:
        dimensions: Length of each vector.
        window_tokens: Longer texts are truncated here, at a token boundary.
    """

    def __init__(self, folder: Path, *, device: str, batch_tokens: int = DEFAULT_BATCH_TOKENS) -> None:
        torchvision_prepare()  # transformers imports torchvision where it is installed
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )
        self._model.eval()
        self._batch_tokens = batch_tokens
        dimensions, window_tokens = self._model.get_embedding_dimension(), self._model.max_seq_length
        if dimensions is None or window_tokens is None:
            raise EngineBroken(f"{folder} states no dimensions or no window; it is not a sentence-transformers folder")
        self.dimensions = dimensions
        self.window_tokens = window_tokens

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row of float32 per text, in input order.

        Raises:
            EmptyInput: A text is empty.
        """
        clean = [text_clean(text, index) for index, text in enumerate(texts)]
        vectors = np.empty((len(clean), self.dimensions), dtype=np.float32)
        for indices in self._batches(clean):
            vectors[indices] = self._model.encode(
                [clean[index] for index in indices],
                batch_size=len(indices),
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        if len(texts) == 1:
            # A query: nothing is to be sorted, so its tokens need not be counted.
            yield [0]
            return
        lengths = [len(ids) for ids in self._token_ids(texts)]
        yield from token_batches(lengths, self._batch_tokens)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._model.tokenizer(list(texts), truncation=True, max_length=self.window_tokens)
        return list(encoded["input_ids"])
