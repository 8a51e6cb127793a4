"""Translates what model libraries throw into this package's errors, in one place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from inference.errors import EngineBroken, InferenceError, OutOfMemory

_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "failed to allocate", "bad_alloc", "not enough memory")


@contextlib.contextmanager
def library_errors(engine: str, work: str) -> Iterator[None]:
    """Run a block of library calls; everything but our own errors leaves as OutOfMemory or EngineBroken.

    Args:
        engine: Name of the engine, for the message.
        work: What it was doing, for the message, such as ``embedding 12 texts``.

    Raises:
        OutOfMemory: The library could not allocate; nothing was produced.
        EngineBroken: The library threw anything else.
    """
    try:
        yield
    except InferenceError:
        raise
    except Exception as error:  # the boundary to code that is not ours: any class can come out of it
        detail = f"{type(error).__name__}: {error}"
        if isinstance(error, MemoryError) or any(sign in detail.lower() for sign in _MEMORY_SIGNS):
            raise OutOfMemory(f"{engine} ran out of memory while {work}; try a smaller batch ({detail})") from error
        raise EngineBroken(f"{engine} failed while {work}: {detail}") from error
