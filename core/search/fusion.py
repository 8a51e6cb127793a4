"""Weighted reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): pure, no database."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

RANK_CONSTANT = 1
"""The paper's 60 is for many legs of equal worth: among few it makes being found twice outweigh being found first.
Fitted with the weights on the fitting half of the labelled questions (benchmarks/hybrid.py)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fused(Generic[Key]):
    """One key with its fused score and the 1-based rank it had in each leg that found it."""

    key: Key
    score: float
    ranks: dict[str, int]


def fuse(legs: Mapping[str, Sequence[Key]], weights: Mapping[str, float]) -> list[Fused[Key]]:
    """Fuse ranked lists, best first.

    Args:
        legs: Keys of each leg, best first, without repeats.
        weights: Weight of each leg; a leg without one weighs 1.

    Returns:
        Every key once; ties are broken by the best single rank, then by first appearance, so the order is stable.
    """
    scores: dict[Key, float] = {}
    ranks: dict[Key, dict[str, int]] = {}
    for leg, keys in legs.items():
        for rank, key in enumerate(keys, start=1):
            scores[key] = scores.get(key, 0.0) + weights.get(leg, 1.0) / (RANK_CONSTANT + rank)
            ranks.setdefault(key, {})[leg] = rank
    fused = [Fused(key=key, score=score, ranks=ranks[key]) for key, score in scores.items()]
    return sorted(fused, key=lambda one: (-one.score, min(one.ranks.values())))
