"""One engine on one device: start, back-off and end of its process, and the batches that run in it."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from core.settings.profile import RoleConfig
from gpu_worker.engine_child import EngineChild
from gpu_worker.engine_request import EngineRequest
from gpu_worker.residency import UseHistory
from gpu_worker.role_queue import Batch, Entry, RoleQueue
from inference.errors import EngineUnavailable, InferenceError, OutOfMemory

logger = logging.getLogger(__name__)

State = Literal["unloaded", "loading", "ready", "failed"]
BACK_OFF_FIRST_S = 0.5
BACK_OFF_LAST_S = 15.0


@dataclasses.dataclass
class _Counters:
    batch_sizes: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    loads: int = 0
    crashes: int = 0
    unloads: int = 0
    halvings: int = 0


class EngineSlot:
    """Runs batches of one role's queue, one after the other (or ``concurrency`` at the same time)."""

    def __init__(
        self,
        config: RoleConfig,
        queue: RoleQueue,
        child_start: Callable[[EngineSlot], Awaitable[EngineChild]],
        *,
        copy: int = 0,
    ) -> None:
        self.config = config
        self.name = f"{config.role}@{config.device}{f' copy {copy}' if copy else ''}"
        self.queue = queue
        self.siblings: tuple[EngineSlot, ...] = ()
        self.child: EngineChild | None = None
        self.in_flight = 0
        self.loaded_s = 0.0
        self.last_used = time.monotonic()
        self.history = UseHistory()
        self.counters = _Counters()
        self.load_error = ""
        self._is_loading = False
        self._child_start = child_start
        self._work = asyncio.Event()
        self._free = asyncio.Semaphore(config.concurrency)
        self._loading = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        queue.listen(self._work_came)

    @property
    def is_loaded(self) -> bool:
        """Whether a living process holds the engine."""
        return self.child is not None and not self.child.is_dead

    @property
    def has_room(self) -> bool:
        """Whether it can take work now, or will as soon as it is loaded."""
        return self._is_loading or (self.is_loaded and self.in_flight < self.config.concurrency)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, nothing waits and nobody holds a lease."""
        return self.in_flight == 0 and not self.queue.is_wanted

    @property
    def state(self) -> State:
        """What a reader of the status wants to know first."""
        if self.is_loaded:
            return "ready"
        if self._is_loading:
            return "loading"
        return "failed" if self.load_error else "unloaded"

    async def run(self) -> None:
        """Serve the queue for ever."""
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
                self._is_loading = True
                try:
                    await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
                    self.child = await self._child_start(self)
                except InferenceError as error:
                    self.load_error = str(error)
                    self._back_off()
                    raise
                finally:
                    self._is_loading = False
                self.load_error = ""
                self.counters.loads += 1
                self.last_used = self.loaded_s = time.monotonic()
                self._siblings_look()
            return self.child

    async def unload(self) -> None:
        """End the engine's process; the next request starts it again."""
        child, self.child = self.child, None
        if child is not None:
            logger.info("engine '%s' of %s is unloaded", self.config.engine, self.name)
            self.counters.unloads += 1
            await child.end()

    def status(self) -> dict[str, Any]:
        """Say what the slot does, for the status report."""
        return {
            "role": self.config.role,
            "device": self.config.device,
            "engine": self.config.engine,
            "models": list(self.config.models),
            "state": self.state,
            "error": self.load_error,
            "loaded": self.is_loaded,
            "pinned": self.config.pinned,
            "preload": self.config.preload,
            "pid": self.child.pid if self.child is not None and self.is_loaded else None,
            "load_s": round(self.child.load_s, 2) if self.child is not None and self.is_loaded else None,
            "idle_s": round(time.monotonic() - self.last_used, 1) if self.is_loaded and self.is_idle else 0.0,
            "in_flight": self.in_flight,
            "leases": self.queue.leases,
            "queued": self.queue.waiting(),
            "batch_sizes": {str(size): count for size, count in sorted(self.counters.batch_sizes.items())},
            "loads": self.counters.loads,
            "unloads": self.counters.unloads,
            "crashes": self.counters.crashes,
            "halvings": self.counters.halvings,
        }

    async def _next(self) -> None:
        try:
            self.queue.prune()
            if not self.queue.waits or self._sibling_takes():
                self._work.clear()
                self._free.release()
                return
            child = await self.load()
        except InferenceError as error:
            if not any(sibling.is_loaded for sibling in self.siblings):
                self.queue.fail_all(error)
            self._work.clear()
            self._free.release()
            return
        # From here to the start of the task nothing awaits, so the engine cannot be unloaded in between.
        batch = self.queue.take()
        if batch is None:
            self._free.release()
            return
        self.in_flight += 1
        task = asyncio.create_task(self._execute(child, batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if batch.method.kind == "stream":
            batch.entries[0][0].run_as(task)

    def _sibling_takes(self) -> bool:
        # A copy of the engine is loaded only when those that are there have enough to do.
        return not self.is_loaded and any(sibling.has_room for sibling in self.siblings)

    async def _execute(self, child: EngineChild, batch: Batch) -> None:
        try:
            if batch.method.kind == "stream":
                await self._stream(child, batch.entries[0][0])
            else:
                await self._batch_run(child, batch)
        finally:
            self.in_flight -= 1
            self.last_used = time.monotonic()
            self._free.release()
            self._siblings_look()

    def _siblings_look(self) -> None:
        # Copies that left work to this one may have more of it now than this one can take.
        for sibling in self.siblings:
            sibling.look()

    def _work_came(self) -> None:
        self.history.used(time.monotonic())
        self._work.set()

    def look(self) -> None:
        """Look into the queue again."""
        self._work.set()

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

    async def _batch_run(self, child: EngineChild, batch: Batch) -> None:
        begun_s = time.monotonic()
        try:
            answer = await child.call(batch.method.name, [request.items[index] for request, index in batch.entries])
        except OutOfMemory as error:
            self.queue.did_not_fit(batch)
            await self._halves_run(child, batch, error)
        except EngineUnavailable as error:
            self._died(batch, error)
        except InferenceError as error:
            await self._apart_run(child, batch, error)
        else:
            self._failures = 0
            self.queue.ran(batch, time.monotonic() - begun_s)
            self.counters.batch_sizes[answer.batch_items] += 1
            for (request, index), result in zip(batch.entries, answer.items, strict=True):
                request.accept(index, result)

    def _died(self, batch: Batch, error: InferenceError) -> None:
        requests = list(dict.fromkeys(request for request, _ in batch.entries))
        if len(requests) > 1:
            # One of them may have ended the process: all run again, each by itself, so that only that one fails.
            self.queue.suspect(batch)
        else:
            requests[0].fail(error)

    async def _halves_run(self, child: EngineChild, batch: Batch, error: InferenceError) -> None:
        if len(batch.entries) == 1:
            batch.entries[0][0].fail(error)
            return
        self.counters.halvings += 1
        middle = len(batch.entries) // 2
        for half in (batch.entries[:middle], batch.entries[middle:]):
            await self._part_run(child, batch, half)

    async def _apart_run(self, child: EngineChild, batch: Batch, error: InferenceError) -> None:
        requests = list(dict.fromkeys(request for request, _ in batch.entries))
        if len(requests) == 1:
            requests[0].fail(error)
            return
        for request in requests:
            await self._part_run(child, batch, [entry for entry in batch.entries if entry[0] is request])

    async def _part_run(self, child: EngineChild, batch: Batch, entries: Sequence[Entry]) -> None:
        await self._batch_run(child, dataclasses.replace(batch, entries=entries))

    def _back_off(self) -> None:
        self._failures += 1
        pause_s = min(BACK_OFF_FIRST_S * 2 ** (self._failures - 1), BACK_OFF_LAST_S)
        self._not_before = time.monotonic() + pause_s
