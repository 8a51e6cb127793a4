"""Three seeded generators of work for six unlike models: who asks for which model at which second."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping

DURATION_S = 3600.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model as the scheduler sees it.

    Attributes:
        work_s: Seconds for one request; each further one in the same batch takes a quarter of it.
    """

    name: str
    size_mib: int
    load_s: float
    work_s: float


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """One request."""

    at_s: float
    model: str


BUDGET_MIB = 3000
MODELS = {
    model.name: model
    for model in (
        Model(name="text", size_mib=450, load_s=4.0, work_s=0.05),
        Model(name="image_text", size_mib=700, load_s=6.0, work_s=0.3),
        Model(name="speaker", size_mib=300, load_s=2.0, work_s=0.5),
        Model(name="ocr", size_mib=900, load_s=3.0, work_s=4.0),
        Model(name="speech", size_mib=1300, load_s=8.0, work_s=6.0),
        Model(name="language", size_mib=1800, load_s=12.0, work_s=5.0),
    )
}
"""Together 5450 MiB: not all fit, and no two of the large ones fit beside everything small."""


def steady(seed: int) -> list[Arrival]:
    """Every model is asked for at its own even rate, without memory."""
    mean_gap_s = {"text": 4.0, "image_text": 15.0, "speaker": 60.0, "ocr": 30.0, "speech": 90.0, "language": 45.0}
    return _all(seed, lambda name, chance: _poisson(chance, 0.0, DURATION_S, mean_gap_s[name]))


def bursty(seed: int) -> list[Arrival]:
    """Every model is silent for minutes, then asked for again and again."""
    quiet_s = {"text": 40.0, "image_text": 120.0, "speaker": 240.0, "ocr": 150.0, "speech": 200.0, "language": 180.0}

    def bursts(name: str, chance: random.Random) -> Iterator[float]:
        begin_s = chance.expovariate(1 / quiet_s[name])
        while begin_s < DURATION_S:
            end_s = min(DURATION_S, begin_s + chance.uniform(10.0, 60.0))
            yield from _poisson(chance, begin_s, end_s, 3.0)
            begin_s = end_s + chance.expovariate(1 / quiet_s[name])

    return _all(seed, bursts)


def scan(seed: int) -> list[Arrival]:
    """One document after the other goes through all models in the same order: the worst case of least recently used."""
    chance = random.Random(seed)
    arrivals = []
    begin_s = 0.0
    while begin_s < DURATION_S:
        for name in ("speech", "speaker", "ocr", "image_text", "text", "language"):
            at_s = begin_s + chance.uniform(0.0, 3.0)
            arrivals += [Arrival(at_s + 0.05 * n, name) for n in range(chance.randint(1, 4))]
            begin_s += 15.0 + chance.uniform(0.0, 5.0)
    return sorted(arrival for arrival in arrivals if arrival.at_s < DURATION_S)


GENERATORS: Mapping[str, Callable[[int], list[Arrival]]] = {"steady": steady, "bursty": bursty, "scan": scan}


def _all(seed: int, times: Callable[[str, random.Random], Iterator[float]]) -> list[Arrival]:
    return sorted(
        Arrival(at_s, name)
        for place, name in enumerate(MODELS)
        for at_s in times(name, random.Random(seed * 1000 + place))
    )


def _poisson(chance: random.Random, begin_s: float, end_s: float, mean_gap_s: float) -> Iterator[float]:
    at_s = begin_s + chance.expovariate(1 / mean_gap_s)
    while at_s < end_s:
        yield at_s
        at_s += chance.expovariate(1 / mean_gap_s)
