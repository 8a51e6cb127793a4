"""One call of one client on its way through the engine host, and what its items cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from inference.codec import Item
from inference.errors import Cancelled, InferenceError
from inference.registry import Method

Priority = Literal["interactive", "bulk"]
PRIORITIES: tuple[Priority, ...] = ("interactive", "bulk")

_BYTES_PER_TOKEN = 4
_BYTES_PER_PIXEL = 3
_BYTES_PER_SAMPLE = 4
_SOUND_ROLES = frozenset({"speech", "speaker"})


def item_units(role: str, item: Item) -> int:
    """Return what an item costs: samples of sound, pixels of pictures, or tokens of text, estimated from its bytes.

    The host looks into no item; four bytes a token hold for English within a factor that a batch budget can bear.
    """
    buffers_bytes = sum(memoryview(buffer).nbytes for buffer in item.buffers)
    if not buffers_bytes:
        return max(1, len(item.header) // _BYTES_PER_TOKEN)
    return max(1, buffers_bytes // (_BYTES_PER_SAMPLE if role in _SOUND_ROLES else _BYTES_PER_PIXEL))


class EngineRequest:
    """One call of one client: its items, and the results as they come in."""

    def __init__(
        self,
        *,
        method: Method,
        items: tuple[Item, ...],
        priority: Priority,
        on_delta: Callable[[Item], None] | None = None,
        units: Sequence[int] | None = None,
    ) -> None:
        self.method = method
        self.items = items
        self.priority = priority
        self.on_delta = on_delta
        self.units = tuple(units) if units is not None else (1,) * len(items)
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
