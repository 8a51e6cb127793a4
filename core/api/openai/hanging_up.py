"""Beginning something for a caller who may hang up at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from core.api.threads import in_thread

Begun = TypeVar("Begun")


async def begin(start: Callable[[], Begun], undo: Callable[[Begun], None]) -> Begun:
    """Run ``start`` in a thread; a caller who hangs up meanwhile has it undone as soon as it is done."""
    starting = asyncio.create_task(in_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread cannot be stopped half-way, and nobody else would know what it has begun.
        await in_thread(partial(undo, await starting))
        raise
