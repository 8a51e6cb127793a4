"""The scheduler's own rules under a simulated clock: the engine host's loop without processes."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence

from benchmarks.traces import Arrival, Model
from gpu_worker.residency import Rules, Tenant, UseHistory, room_decide

BATCH_ITEMS = 8
FURTHER_ITEM = 0.25

Expectation = Callable[[str, float], float]
"""(model, now) to the second at which it is expected to be used again; the farthest leaves first."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Run:
    """What a trace cost under one expectation."""

    loads: int = 0
    budget_violations: int = 0
    peak_mib: float = 0.0
    waits_s: list[float] = dataclasses.field(default_factory=list)

    @property
    def mean_wait_s(self) -> float:
        """Mean of arrival to result."""
        return sum(self.waits_s) / len(self.waits_s)


@dataclasses.dataclass(slots=True)
class _Engine:
    model: Model
    queue: collections.deque[float] = dataclasses.field(default_factory=collections.deque)
    loaded_s: float | None = None
    ready: bool = False
    busy: bool = False
    waiting_since_s: float | None = None


class Simulation:
    """One trace, one budget, one expectation."""

    def __init__(
        self, models: Mapping[str, Model], *, budget_mib: float, rules: Rules, expectation: Expectation | None = None
    ) -> None:
        self._engines = {name: _Engine(model) for name, model in models.items()}
        self._budget_mib = budget_mib
        self._rules = rules
        self._histories = {name: UseHistory() for name in models}
        self._expected = expectation or (lambda name, now_s: self._histories[name].next_use_s(now_s))
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self.run = Run()

    def play(self, arrivals: Sequence[Arrival]) -> Run:
        """Run all arrivals to their end."""
        for arrival in arrivals:
            self._at(arrival.at_s, lambda now_s, name=arrival.model: self._arrive(name, now_s))  # type: ignore[misc]
        while self._events:
            now_s, _, event = heapq.heappop(self._events)
            event(now_s)
            self._serve(now_s)
        unserved = sum(len(engine.queue) for engine in self._engines.values())
        assert not unserved, f"{unserved} requests were never served"
        return self.run

    def _at(self, at_s: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), event))

    def _arrive(self, name: str, now_s: float) -> None:
        self._engines[name].queue.append(now_s)
        self._histories[name].used(now_s)

    def _serve(self, now_s: float) -> None:
        for name, engine in self._engines.items():
            if not engine.queue or engine.busy:
                continue
            if engine.loaded_s is None:
                self._make_room(name, engine, now_s)
            elif engine.ready:
                self._batch(name, engine, now_s)

    def _make_room(self, name: str, engine: _Engine, now_s: float) -> None:
        if engine.waiting_since_s is None:
            engine.waiting_since_s = now_s
            # Patience ends by the clock, not by another event.
            for patience_s in (self._rules.residency_s, self._rules.starving_s):
                self._at(now_s + patience_s, lambda _: None)
        decision = room_decide(
            wanted_mib=engine.model.size_mib,
            budget_mib=self._budget_mib,
            tenants=self._tenants(now_s),
            now_s=now_s,
            waited_s=now_s - engine.waiting_since_s,
            rules=self._rules,
        )
        if decision.verdict in ("load", "evict"):
            for victim in decision.victims:
                self._engines[victim].loaded_s = None
                self._engines[victim].ready = False
            self._load(name, engine, now_s)

    def _tenants(self, now_s: float) -> list[Tenant]:
        return [
            Tenant(
                name=name,
                size_mib=engine.model.size_mib,
                loaded_s=engine.loaded_s,
                next_use_s=self._expected(name, now_s),
                busy=engine.busy or not engine.ready,
                wanted=bool(engine.queue),
            )
            for name, engine in self._engines.items()
            if engine.loaded_s is not None
        ]

    def _load(self, name: str, engine: _Engine, now_s: float) -> None:
        engine.loaded_s, engine.waiting_since_s = now_s, None
        self.run.loads += 1
        taken_mib = sum(one.model.size_mib for one in self._engines.values() if one.loaded_s is not None)
        self.run.peak_mib = max(self.run.peak_mib, taken_mib)
        self.run.budget_violations += taken_mib > self._budget_mib
        self._at(now_s + engine.model.load_s, lambda at_s: self._loaded(name, at_s))
        self._at(now_s + engine.model.load_s + self._rules.residency_s, lambda _: None)

    def _loaded(self, name: str, now_s: float) -> None:
        # Residency counts from the moment at which the engine can work.
        self._engines[name].ready, self._engines[name].loaded_s = True, now_s

    def _batch(self, name: str, engine: _Engine, now_s: float) -> None:
        taken = [engine.queue.popleft() for _ in range(min(BATCH_ITEMS, len(engine.queue)))]
        engine.busy = True
        took_s = engine.model.work_s * (1 + FURTHER_ITEM * (len(taken) - 1))
        self._at(now_s + took_s, lambda at_s: self._done(name, taken, at_s))

    def _done(self, name: str, taken: Sequence[float], now_s: float) -> None:
        self._engines[name].busy = False
        self.run.waits_s += [now_s - begun_s for begun_s in taken]


def least_recent(arrivals: Sequence[Arrival]) -> Expectation:
    """Expect what was used longest ago to be used last: least recently used."""
    seen = _times(arrivals)

    def expected(name: str, now_s: float) -> float:
        place = bisect.bisect_right(seen[name], now_s)
        return now_s - seen[name][place - 1] if place else float("inf")

    return expected


def foreseen(arrivals: Sequence[Arrival]) -> Expectation:
    """Know the future: Belady's farthest next use, a bound that no real scheduler can be held to."""
    seen = _times(arrivals)

    def expected(name: str, now_s: float) -> float:
        place = bisect.bisect_right(seen[name], now_s)
        return seen[name][place] if place < len(seen[name]) else float("inf")

    return expected


def _times(arrivals: Sequence[Arrival]) -> Mapping[str, list[float]]:
    times: dict[str, list[float]] = collections.defaultdict(list)
    for arrival in arrivals:
        times[arrival.model].append(arrival.at_s)
    return times
