"""Fake engines that fail as real ones do: one whose memory really ends, and one that takes its process along."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import EmptyInput
from inference.values import Vectors

DIMENSIONS = 8
_MIB = 2**20


class _FakeFailing:
    recipe_version = "1"
    dimensions = DIMENSIONS

    def __init__(
        self,
        folders: Sequence[Path] = (),
        *,
        threads: int = 1,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        del folders, threads, device
        self._options = dict(options or {})


class FakeHungryEmbedder(_FakeFailing):
    """Holds ``mib_per_text`` for each text of a batch at once, as long as the operating system gives it.

    Options:
        mib_per_text: Held for each text while its batch runs.
        room_mib: What the operating system lets it take for its batches; 0 for no bound.
        resident_mib: Held from the start, as a model's weights are.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (),
        *,
        threads: int = 1,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(folders, threads=threads, device=device, options=options)
        self._mib_per_text = int(self._options.get("mib_per_text", 1))
        self._resident = _filled(int(self._options.get("resident_mib", 0)))
        if room_mib := int(self._options.get("room_mib", 0)):
            bound_bytes = _data_bytes() + room_mib * _MIB
            resource.setrlimit(resource.RLIMIT_DATA, (bound_bytes, bound_bytes))

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed each text on its own; MemoryError comes from the operating system."""
        held = [_filled(self._mib_per_text) for _ in batch]
        vectors = np.stack([_vector(text) for text in batch])
        del held
        return vectors


class FakeAbortingEmbedder(_FakeFailing):
    """Ends its own process, as a failed assertion in native code does, at a text with the word ``abort``."""

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed each text on its own."""
        if any("abort" in text.split() for text in batch):
            os.abort()
        return np.stack([_vector(text) for text in batch])


def _vector(text: str) -> Vectors:
    if not text:
        raise EmptyInput("the text is empty: there is nothing to embed")
    digest = hashlib.sha256(text.encode()).digest()
    vector = np.frombuffer(digest, dtype=np.uint8)[:DIMENSIONS].astype(np.float32) - 127.5
    unit: Vectors = vector / np.linalg.norm(vector)
    return unit


def _filled(mib: int) -> bytearray:
    # Written to, so that the pages are really there.
    held = bytearray(mib * _MIB)
    held[:: resource.getpagesize()] = b"1" * len(range(0, len(held), resource.getpagesize()))
    return held


def _data_bytes() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
