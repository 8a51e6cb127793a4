"""Tokens as a role's own tokenizer counts them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from tokenizers import Tokenizer

from core.settings.profile import profile
from gpu_worker import services
from gpu_worker.places import model_store
from inference.errors import EngineUnavailable
from models_local.errors import ModelsError

COUNT_DEADLINE_S = 60.0


def tokens_of(role: str, texts: Sequence[str]) -> int:
    """Count the tokens that a role's model reads of texts, special tokens included.

    Raises:
        EngineUnavailable: The model or its tokenizer is not in the store.
    """
    return sum(len(encoding.ids) for encoding in _tokenizer(role).encode_batch(list(texts)))


def language_tokens(texts: Sequence[str]) -> list[int]:
    """Count the tokens of each text as the language model reads it."""
    with services.engines().lease(role="language", priority="interactive", deadline_s=COUNT_DEADLINE_S) as model:
        return [int(count) for count in model.count_tokens(list(texts))]


@functools.cache
def _tokenizer(role: str) -> Tokenizer:
    for name in profile().roles[role].models:
        try:
            path = model_store().folder(name) / "tokenizer.json"
        except ModelsError as error:
            raise EngineUnavailable(f"the tokens of role '{role}' cannot be counted: {error}") from error
        if path.is_file():
            tokenizer = Tokenizer.from_file(str(path))
            tokenizer.no_padding()
            return tokenizer
    raise EngineUnavailable(f"no model of role '{role}' has a tokenizer.json to count tokens with")
