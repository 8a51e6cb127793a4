"""One role's engine on one host: two queues, batches across requests, start, back-off and end of its process."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from core.settings.profile import RoleConfig
from gpu_worker.engine_child import EngineChild
from inference.codec import Item
from inference.errors import Cancelled, EngineUnavailable, InferenceError, OutOfMemory
from inference.registry import Method

logger = logging.getLogger(__name__)

Priority = Literal["interactive", "bulk"]
PRIORITIES: tuple[Priority, ...] = ("interactive", "bulk")
BACK_OFF_FIRST_S = 0.5
BACK_OFF_LAST_S = 15.0


class EngineRequest:
    """One call of one client: its items, and the results as they come in."""

    def __init__(
        self,
        *,
        method: Method,
        items: tuple[Item, ...],
        priority: Priority,
        on_delta: Callable[[Item], None] | None = None,
    ) -> None:
        self.method = method
        self.items = items
        self.priority = priority
        self.on_delta = on_delta
        self.taken = 0
        self.done: asyncio.Future[tuple[Item, ...]] = asyncio.get_running_loop().create_future()
        self._results: dict[int, Item] = {}
        self._running: asyncio.Task[None] | None = None

    def accept(self, index: int, result: Item) -> None:
        """Take the result of one item; the last one completes the request."""
        self._results[index] = result
        if len(self._results) == len(self.items) and not self.done.done():
            self.done.set_result(tuple(self._results[position] for position in range(len(self.items))))

    def finish(self) -> None:
        """Complete a stream."""
        if not self.done.done():
            self.done.set_result(())

    def fail(self, error: InferenceError) -> None:
        """End the request with an error; its remaining items are not run."""
        if not self.done.done():
            self.done.set_exception(error)

    def run_as(self, task: asyncio.Task[None]) -> None:
        """Say which task streams the request, so that a cancel ends it."""
        self._running = task

    def cancel(self, reason: str) -> None:
        """End the request: drop it from its queue, end its stream."""
        self.fail(Cancelled(reason))
        if self._running is not None:
            self._running.cancel()


Entry = tuple[EngineRequest, int]


@dataclasses.dataclass
class _Counters:
    batch_sizes: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    loads: int = 0
    crashes: int = 0


class EngineSlot:
    """Runs the requests of one role, one batch after the other (or ``concurrency`` at the same time)."""

    def __init__(self, config: RoleConfig, child_start: Callable[[RoleConfig], Awaitable[EngineChild]]) -> None:
        self.config = config
        self.child: EngineChild | None = None
        self.in_flight = 0
        self.last_used = time.monotonic()
        self.waiting_since: float | None = None
        self.counters = _Counters()
        self._child_start = child_start
        self._queues: dict[Priority, collections.deque[EngineRequest]] = {p: collections.deque() for p in PRIORITIES}
        self._work = asyncio.Event()
        self._free = asyncio.Semaphore(config.concurrency)
        self._loading = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return self.in_flight == 0 and not any(self._queues.values())

    def submit(self, request: EngineRequest) -> None:
        """Queue a request."""
        self._queues[request.priority].append(request)
        self._work.set()

    async def run(self) -> None:
        """Serve the queues for ever."""
        while True:
            await self._work.wait()
            await self._free.acquire()
            await self._next()

    async def load(self) -> EngineChild:
        """Return the loaded engine, starting its process where needed, after a back-off where it failed before.

        Raises:
            InferenceError: It could not be loaded.
        """
        async with self._loading:
            if self.child is not None and self.child.is_dead:
                self.counters.crashes += 1
                dead, self.child = self.child, None
                await dead.end()
                self._back_off()
            if self.child is None:
                await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
                try:
                    self.child = await self._child_start(self.config)
                except InferenceError:
                    self._back_off()
                    raise
                self.counters.loads += 1
                self.last_used = time.monotonic()
            return self.child

    async def unload(self) -> None:
        """End the engine's process; the next request starts it again."""
        child, self.child = self.child, None
        if child is not None:
            logger.info("engine '%s' of role '%s' is unloaded", self.config.engine, self.config.role)
            await child.end()

    def status(self) -> dict[str, Any]:
        """Say what the slot does, for the status report."""
        loaded = self.child is not None and not self.child.is_dead
        return {
            "role": self.config.role,
            "engine": self.config.engine,
            "models": list(self.config.models),
            "loaded": loaded,
            "pid": self.child.pid if self.child is not None and loaded else None,
            "in_flight": self.in_flight,
            "queued": {priority: len(queue) for priority, queue in self._queues.items()},
            "batch_sizes": {str(size): count for size, count in sorted(self.counters.batch_sizes.items())},
            "loads": self.counters.loads,
            "crashes": self.counters.crashes,
        }

    async def _next(self) -> None:
        try:
            self._prune()
            if not any(self._queues.values()):
                self._work.clear()
                self._free.release()
                return
            child = await self.load()
        except InferenceError as error:
            self._queued_fail(error)
            self._free.release()
            return
        # From here to the start of the task nothing awaits, so the engine cannot be unloaded in between.
        batch = self._batch_take()
        if not batch:
            self._free.release()
            return
        self.in_flight += 1
        task = asyncio.create_task(self._execute(child, batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if batch[0][0].method.kind == "stream":
            batch[0][0].run_as(task)

    def _prune(self) -> None:
        for queue in self._queues.values():
            for request in [request for request in queue if request.done.done()]:
                queue.remove(request)

    def _batch_take(self) -> list[Entry]:
        self._prune()
        queue = next((queue for queue in self._queues.values() if queue), None)
        if queue is None:
            return []
        method = queue[0].method
        if method.kind != "batch":
            return [(queue.popleft(), 0)]
        entries: list[Entry] = []
        for request in [request for request in queue if request.method == method]:
            take = min(len(request.items) - request.taken, self.config.max_batch_items - len(entries))
            entries.extend((request, request.taken + offset) for offset in range(take))
            request.taken += take
            if request.taken == len(request.items):
                queue.remove(request)
            if len(entries) == self.config.max_batch_items:
                break
        return entries

    async def _execute(self, child: EngineChild, batch: list[Entry]) -> None:
        request = batch[0][0]
        try:
            if request.method.kind == "stream":
                await self._stream(child, request)
            else:
                await self._batch_run(child, request.method, batch)
        finally:
            self.in_flight -= 1
            self.last_used = time.monotonic()
            self._free.release()

    async def _stream(self, child: EngineChild, request: EngineRequest) -> None:
        on_delta = request.on_delta
        assert on_delta is not None
        try:
            await child.stream(request.method.name, request.items, on_delta)
        except InferenceError as error:
            request.fail(error)
        else:
            self._failures = 0
            request.finish()

    async def _batch_run(self, child: EngineChild, method: Method, entries: list[Entry]) -> None:
        try:
            results = await child.call(method.name, [request.items[index] for request, index in entries])
        except OutOfMemory as error:
            await self._halves_run(child, method, entries, error)
        except EngineUnavailable as error:
            for request, _ in entries:
                request.fail(error)
        except InferenceError as error:
            await self._apart_run(child, method, entries, error)
        else:
            self._failures = 0
            self.counters.batch_sizes[len(entries)] += 1
            for (request, index), result in zip(entries, results, strict=True):
                request.accept(index, result)

    async def _halves_run(
        self, child: EngineChild, method: Method, entries: list[Entry], error: InferenceError
    ) -> None:
        if len(entries) == 1:
            entries[0][0].fail(error)
            return
        middle = len(entries) // 2
        await self._batch_run(child, method, entries[:middle])
        await self._batch_run(child, method, entries[middle:])

    async def _apart_run(self, child: EngineChild, method: Method, entries: list[Entry], error: InferenceError) -> None:
        requests = list(dict.fromkeys(request for request, _ in entries))
        if len(requests) == 1:
            requests[0].fail(error)
            return
        for request in requests:
            await self._batch_run(child, method, [entry for entry in entries if entry[0] is request])

    def _queued_fail(self, error: InferenceError) -> None:
        for queue in self._queues.values():
            while queue:
                queue.popleft().fail(error)

    def _back_off(self) -> None:
        self._failures += 1
        pause_s = min(BACK_OFF_FIRST_S * 2 ** (self._failures - 1), BACK_OFF_LAST_S)
        self._not_before = time.monotonic() + pause_s
