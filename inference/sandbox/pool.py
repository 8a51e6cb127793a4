"""A bounded number of sandboxes, handed out per owner and kept warm for the same owner."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from inference.sandbox.sandbox import Sandbox


class SandboxPool:
    """Hands out at most ``size`` sandboxes at once; a waiting caller blocks until one is free."""

    def __init__(self, size: int, make: Callable[[str], Sandbox] = Sandbox) -> None:
        """Prepare an empty pool.

        Args:
            size: Most sandboxes, idle ones included; at least 1.
            make: Makes a sandbox for an owner.
        """
        if size < 1:
            raise ValueError(f"a pool of sandboxes needs at least one, not {size}")
        self._size = size
        self._make = make
        self._changed = threading.Condition()
        self._idle: list[Sandbox] = []
        self._lent = 0
        self._closed = False

    @contextlib.contextmanager
    def lease(self, owner: str) -> Iterator[Sandbox]:
        """Lend a sandbox for this owner's files until the block ends."""
        sandbox = self._take(owner)
        try:
            yield sandbox
        finally:
            self._give_back(sandbox)

    def close(self) -> None:
        """End the idle ones now and the lent ones when they come back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for sandbox in idle:
            sandbox.close()

    def _take(self, owner: str) -> Sandbox:
        evicted: Sandbox | None = None
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._lent < self._size)
            if self._closed:
                raise RuntimeError("the pool of sandboxes is closed")
            self._lent += 1
            for sandbox in self._idle:
                if sandbox.owner == owner:
                    self._idle.remove(sandbox)
                    return sandbox
            if self._idle and self._lent + len(self._idle) > self._size:
                evicted = self._idle.pop(0)
        if evicted is not None:
            evicted.close()
        return self._make(owner)

    def _give_back(self, sandbox: Sandbox) -> None:
        sandbox.forget()
        with self._changed:
            self._lent -= 1
            closed = self._closed
            if not closed:
                self._idle.append(sandbox)
            self._changed.notify()
        if closed:
            sandbox.close()
