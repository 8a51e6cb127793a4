"""What waits for one role: two queues, and the batches that are cut from them across requests.

A batch takes whatever waits at the moment at which an engine is free, so that nobody ever waits for a batch to fill. It
holds one method and one priority, and ends at the role's items or units (tokens, pixels, samples), at the seconds that
a bulk batch may take, and at what last fitted into memory.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Sequence

from core.settings.profile import RoleConfig
from gpu_worker.engine_request import PRIORITIES, EngineRequest, Priority
from inference.errors import InferenceError
from inference.registry import Method

PACE_BATCHES = 16
"""So many bulk batches say how long a unit takes; queries do not, which are too short to tell."""
GROWTH = 1.25
"""After a batch did not fit, each full batch that fits lets the next be so much larger."""

Entry = tuple[EngineRequest, int]
"""A request and the index of one of its items."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What runs together.

    Attributes:
        alone: All of it belongs to one request that was in a batch whose engine died: nobody shares its fate again.
    """

    method: Method
    priority: Priority
    entries: Sequence[Entry]
    alone: bool = False

    @property
    def units(self) -> int:
        """Tokens, pixels or samples of all items."""
        return sum(request.units[index] for request, index in self.entries)


class RoleQueue:
    """The requests of one role; the slots that serve it are told when there is work."""

    def __init__(self, config: RoleConfig) -> None:
        self.config = config
        self.leases = 0
        self._queues: dict[Priority, collections.deque[EngineRequest]] = {p: collections.deque() for p in PRIORITIES}
        self._suspects: collections.deque[Batch] = collections.deque()
        self._listeners: list[Callable[[], None]] = []
        self._paces: dict[str, collections.deque[tuple[int, float]]] = {}
        self._fitting_units = math.inf

    @property
    def waits(self) -> bool:
        """Whether there is work that nobody has taken."""
        return bool(self._suspects) or any(self._queues.values())

    @property
    def is_wanted(self) -> bool:
        """Whether work waits or somebody holds a lease."""
        return self.leases > 0 or self.waits

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called whenever work arrives."""
        self._listeners.append(listener)

    def submit(self, request: EngineRequest) -> None:
        """Queue a request."""
        self._queues[request.priority].append(request)
        self._tell()

    def suspect(self, batch: Batch) -> None:
        """Queue the requests of a batch whose engine died again, each by itself: only the guilty one meets it twice."""
        for request in dict.fromkeys(request for request, _ in batch.entries):
            entries = [entry for entry in batch.entries if entry[0] is request]
            self._suspects.append(dataclasses.replace(batch, entries=entries, alone=True))
        self._tell()

    def prune(self) -> None:
        """Forget requests that have ended: cancelled, failed, or past their deadline."""
        for queue in self._queues.values():
            for request in [request for request in queue if request.done.done()]:
                queue.remove(request)
        self._suspects = collections.deque(batch for batch in self._suspects if not batch.entries[0][0].done.done())

    def take(self) -> Batch | None:
        """Cut the next batch, interactive work first."""
        self.prune()
        for priority, queue in self._queues.items():
            if queue:
                return self._cut(queue, priority)
            # A suspect goes behind the interactive queue and before bulk work.
            if self._suspects:
                return self._suspects.popleft()
        return None

    def fail_all(self, error: InferenceError) -> None:
        """Fail everything that waits."""
        for queue in self._queues.values():
            while queue:
                queue.popleft().fail(error)
        while self._suspects:
            self._suspects.popleft().entries[0][0].fail(error)

    def ran(self, batch: Batch, took_s: float) -> None:
        """Learn from a batch that went through: how long a unit takes, and that so many fit."""
        if batch.priority == "bulk":
            paces = self._paces.setdefault(batch.method.name, collections.deque(maxlen=PACE_BATCHES))
            paces.append((batch.units, took_s))
        if batch.units * GROWTH >= self._fitting_units:
            self._fitting_units *= GROWTH

    def did_not_fit(self, batch: Batch) -> None:
        """Learn that a batch was too large, so that the next one is not as large again."""
        self._fitting_units = min(self._fitting_units, max(1, batch.units // 2))

    def waiting(self) -> dict[str, int]:
        """Return how many requests wait, by priority."""
        counts = {str(priority): len(queue) for priority, queue in self._queues.items()}
        for batch in self._suspects:
            counts[batch.priority] += 1
        return counts

    def _cut(self, queue: collections.deque[EngineRequest], priority: Priority) -> Batch:
        method = queue[0].method
        if method.kind != "batch":
            return Batch(method=method, priority=priority, entries=[(queue.popleft(), 0)])
        most_units = self._most_units(method, priority)
        entries: list[Entry] = []
        units = 0
        for request in [request for request in queue if request.method == method]:
            while request.taken < len(request.items):
                item_units = request.units[request.taken]
                # One item always goes, however large: it cannot be cut.
                if entries and (len(entries) == self.config.max_batch_items or units + item_units > most_units):
                    return Batch(method=method, priority=priority, entries=entries)
                entries.append((request, request.taken))
                units += item_units
                request.taken += 1
            queue.remove(request)
        return Batch(method=method, priority=priority, entries=entries)

    def _most_units(self, method: Method, priority: Priority) -> float:
        most = min(self.config.batch_units or math.inf, self._fitting_units)
        paces = self._paces.get(method.name)
        if priority == "bulk" and self.config.bulk_batch_s and paces:
            units, took_s = (sum(column) for column in zip(*paces, strict=True))
            most = min(most, self.config.bulk_batch_s * units / max(took_s, 1e-6))
        return most

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
