"""The reranker of this host's profile, where it has one."""

from __future__ import annotations

from collections.abc import Sequence

from core.remote import passages_score
from core.search.service import Reranker
from core.settings.profile import profile


def profile_reranker() -> Reranker | None:
    """Return what asks the workers' reranker; None where the profile has no such role."""
    return _scores if "reranker" in profile().roles else None


def _scores(*, query: str, passages: Sequence[str]) -> Sequence[float]:
    return passages_score(query=query, passages=passages)[0]
