"""How fast is this machine in this minute? A fixed matrix multiplication that every figure is printed beside."""

from __future__ import annotations

import dataclasses
import statistics
import time

import numpy as np

SIZE = 1024
REPEATS = 9
_FLOP = 2 * SIZE**3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What the machine gave while a figure was measured.

    Attributes:
        matmul_gflop_s: Median over the repeats, float32, all threads that NumPy's BLAS takes.
        spread: (largest - smallest) / median; over 0.2 the machine was not quiet.
        repeats: How many.
    """

    matmul_gflop_s: float
    spread: float
    repeats: int


def anchor(*, repeats: int = REPEATS) -> Anchor:
    """Multiply two fixed float32 matrices of 1024 x 1024 again and again; takes well under a second."""
    random = np.random.default_rng(0)
    left = random.random((SIZE, SIZE), dtype=np.float32)
    right = random.random((SIZE, SIZE), dtype=np.float32)
    product = left @ right
    rates = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        np.matmul(left, right, out=product)
        rates.append(_FLOP / (time.perf_counter() - begun_s) / 1e9)
    middle = statistics.median(rates)
    return Anchor(matmul_gflop_s=round(middle, 1), spread=round((max(rates) - min(rates)) / middle, 3), repeats=repeats)
