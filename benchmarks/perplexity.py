"""The perplexity of one fixed text, token by token the same for every engine."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from core.settings.env import REPOSITORY

TEXT_TOKENS = 2000
WINDOW_TOKENS = 250
"""A token is predicted from those before it in its window: short enough that a small machine is done in a minute."""

_FORCING_BIAS = 1000.0


def fixed_text() -> str:
    """Return a text that stands in every checkout and does not change."""
    return (REPOSITORY / "LICENSE").read_text()


def windows(tokens: Sequence[int]) -> list[list[int]]:
    """Cut the first ``TEXT_TOKENS`` tokens into windows."""
    kept = list(tokens[:TEXT_TOKENS])
    return [kept[start : start + WINDOW_TOKENS] for start in range(0, len(kept), WINDOW_TOKENS)]


def perplexity(logprobs: Sequence[float]) -> float:
    """Return exp of the mean negative log-probability (natural logarithm)."""
    return math.exp(-sum(logprobs) / len(logprobs))


def logprobs_of_llama_cpp(model: Path, pieces: Sequence[Sequence[int]], *, threads: int) -> list[float]:
    """Return the log-probability of every token but the first of each piece, from llama-cpp-python."""
    import llama_cpp

    llama = llama_cpp.Llama(
        model_path=str(model),
        n_ctx=WINDOW_TOKENS,
        n_threads=threads,
        n_threads_batch=threads,
        n_gpu_layers=0,
        logits_all=True,
        verbose=False,
    )
    found: list[float] = []
    try:
        for piece in pieces:
            llama.reset()  # type: ignore[no-untyped-call]
            llama.eval(list(piece))
            logits = llama.scores[: len(piece) - 1].astype(np.float64)
            rows = logits - logits.max(axis=1, keepdims=True)
            normal = np.log(np.exp(rows).sum(axis=1))
            targets = np.asarray(piece[1:])
            found.extend((rows[np.arange(len(targets)), targets] - normal).tolist())
    finally:
        llama.close()
    return found


def logprobs_of_llama_server(server: Any, pieces: Sequence[Sequence[int]], *, slots: int) -> list[float]:
    """Return the same from an ``xllamacpp.Server``, which tells the probability of tokens that it generates.

    The wanted token is forced by a bias; what the server tells is its probability without the bias. One request a
    token, each computing one token more than the one before.
    """
    with ThreadPoolExecutor(slots) as pool:
        return [value for piece in pool.map(lambda one: _piece(server, one), pieces) for value in piece]


def _piece(server: Any, piece: Sequence[int]) -> list[float]:
    found = []
    for end in range(1, len(piece)):
        request = {
            "prompt": list(piece[:end]),
            "max_tokens": 1,
            "temperature": 0.0,
            "cache_prompt": True,
            "logprobs": 1,
            "logit_bias": [[piece[end], _FORCING_BIAS]],
        }
        replies: list[dict[str, Any]] = []
        server.handle_completions(
            json.dumps(request), lambda text, kept=replies: kept.append(json.loads(text)) or False
        )
        token = replies[-1]["choices"][0]["logprobs"]["content"][0]
        if token["id"] != piece[end]:
            raise RuntimeError(f"the server generated token {token['id']} where {piece[end]} was forced")
        found.append(float(token["logprob"]))
    return found
