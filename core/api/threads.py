"""Domain calls from async code: each in a thread, its database connection back in the pool when it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections

Result = TypeVar("Result")


async def in_thread(call: Callable[[], Result]) -> Result:
    """Run a call that blocks or uses the database.

    Outside of a request of Django each call has a thread of its own, so a slow one holds up nobody.
    """

    def run() -> Result:
        try:
            return call()
        finally:
            # CONN_MAX_AGE is 0: whatever this thread has opened is old.
            close_old_connections()

    async with ThreadSensitiveContext():
        return await sync_to_async(run, thread_sensitive=True)()
