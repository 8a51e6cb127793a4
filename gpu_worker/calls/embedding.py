"""Vectors and scores for callers of the API: straight from the engine, nothing stored."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from core import remote
from core.settings.profile import profile
from gpu_worker import services
from gpu_worker.calls.counting import tokens_of
from gpu_worker.calls.pictures import picture_read
from inference.errors import InputRejected
from inference.values import Vectors

CALL_DEADLINE_S = 110.0


def batch_embed(
    *, role: Literal["text", "image_text"], texts: Sequence[str] | None, pictures: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Embed texts, or pictures sent as call files, into one role's space.

    Raises:
        InputRejected: The profile has no such role, a text is empty, or a picture cannot be read.
    """
    role_require(role)
    if texts is not None:
        with services.engines().lease(role=role, priority="interactive", deadline_s=CALL_DEADLINE_S) as embedder:
            vectors = embedder.embed_texts(list(texts))
        return _reply(vectors, tokens_of(role, texts))
    assert pictures is not None
    decoded = [
        picture_read(remote.call_file(name), owner=pictures["owner"], name=f"picture {number} of the input")
        for number, name in enumerate(pictures["names"], start=1)
    ]
    with services.engines().lease(role="image_text", priority="interactive", deadline_s=CALL_DEADLINE_S) as embedder:
        return _reply(embedder.embed_images(decoded), 0)


def passages_score(*, query: str, passages: Sequence[str]) -> dict[str, Any]:
    """Score passages against a query with the reranker.

    Raises:
        InputRejected: The profile has no reranker.
    """
    role_require("reranker")
    with services.engines().lease(role="reranker", priority="interactive", deadline_s=CALL_DEADLINE_S) as reranker:
        scores = reranker.score([(query, passage) for passage in passages])
    tokens = tokens_of("reranker", [query]) * len(passages) + tokens_of("reranker", passages)
    return {"scores": [float(score) for score in scores], "tokens": tokens}


def role_require(role: str) -> None:
    """Check that this host serves a role.

    Raises:
        InputRejected: It does not; the sentence names those it serves.
    """
    if role not in profile().roles:
        raise InputRejected(f"this host's profile has no role '{role}'; it has {', '.join(profile().roles)}")


def _reply(vectors: Vectors, tokens: int) -> dict[str, Any]:
    packed = base64.b64encode(np.ascontiguousarray(vectors, dtype="<f4").tobytes()).decode()
    return {"vectors": packed, "dimensions": int(vectors.shape[1]), "tokens": tokens}
