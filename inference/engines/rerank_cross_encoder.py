"""Pairs of query and passage to relevance with a sentence-transformers CrossEncoder folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from inference.errors import EmptyInput, InputRejected
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.torch_operators import torchvision_prepare


class CrossEncoderReranker:
    """Scores how well a passage answers a query; pairs of similar length share a forward pass.

    Options:
        batch_pairs: Pairs in one forward pass.
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
        self._batch_pairs = int(chosen.pop("batch_pairs", 16))
        if chosen:
            raise InputRejected(f"cross_encoder does not know the options {sorted(chosen)}; it knows batch_pairs")
        with library_errors("cross_encoder", f"loading {folders[0]}"):
            torchvision_prepare()  # transformers imports torchvision where it is installed
            from sentence_transformers import CrossEncoder
            from transformers.utils import logging as transformers_logging

            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            self._model = CrossEncoder(
                str(folders[0]),
                device=device,
                local_files_only=True,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )

    def score(self, batch: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Score each pair; higher is more relevant."""
        pairs = [_clean(pair, index) for index, pair in enumerate(batch)]
        with library_errors("cross_encoder", f"scoring {len(batch)} pairs"):
            scores = self._model.predict(pairs, batch_size=self._batch_pairs, show_progress_bar=False)
            return [float(score) for score in scores]


def _clean(pair: tuple[str, str], index: int) -> tuple[str, str]:
    query, passage = (text.encode("utf-8", "replace").decode("utf-8").strip() for text in pair)
    if not query or not passage:
        raise EmptyInput(f"pair {index} of the batch has an empty query or passage: there is nothing to compare")
    return query, passage
