"""Vectors of queries that were embedded before, in the broker: by model digest and text, bounded in time and number."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import redis

from core.remote import broker

TTL_S = 3600
MAX_ENTRIES = 10_000
"""Of 384 dimensions these take about 20 MiB of the broker."""

PREFIX = "cloister:query-vector"


@dataclasses.dataclass(frozen=True, slots=True)
class QueryKey:
    """A query in words and the space it is embedded into."""

    digest: str
    text: str

    @property
    def name(self) -> str:
        """The key in the broker; a query's words do not stand in it."""
        return f"{PREFIX}:{self.digest[:32]}:{hashlib.sha256(self.text.encode()).hexdigest()}"


class QueryCache:
    """Keeps at most ``max_entries`` vectors, each at most ``ttl_s`` seconds; the least recently used go first."""

    def __init__(self, client: redis.Redis, *, ttl_s: int = TTL_S, max_entries: int = MAX_ENTRIES) -> None:
        self._client = client
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._index = f"{PREFIX}s"

    def get(self, keys: Sequence[QueryKey]) -> list[list[float] | None]:
        """Return the vector of each key that is known, in order; one round trip."""
        if not keys:
            return []
        now = time.time()
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.mget([key.name for key in keys])
            # Only entries that are there are touched: XX adds none.
            pipeline.zadd(self._index, {key.name: now for key in keys}, xx=True)
            found = pipeline.execute()[0]
        return [np.frombuffer(one, dtype=np.float32).tolist() if one is not None else None for one in found]

    def put(self, vectors: Mapping[QueryKey, Sequence[float]]) -> None:
        """Keep vectors, and let go of expired ones and of those beyond the bound."""
        if not vectors:
            return
        now = time.time()
        with self._client.pipeline(transaction=True) as pipeline:
            for key, vector in vectors.items():
                pipeline.set(key.name, np.asarray(vector, dtype=np.float32).tobytes(), ex=self._ttl_s)
            pipeline.zadd(self._index, {key.name: now for key in vectors})
            # What was not used for a whole lifetime has expired by itself; its name goes too.
            pipeline.zremrangebyscore(self._index, "-inf", now - self._ttl_s)
            pipeline.zcard(self._index)
            entries = pipeline.execute()[-1]
        if entries > self._max_entries:
            dropped: list[Any] = self._client.zpopmin(self._index, entries - self._max_entries)
            self._client.delete(*(name for name, _ in dropped))

    def __len__(self) -> int:
        return int(self._client.zcard(self._index))


@functools.cache
def query_cache() -> QueryCache:
    """Return this process's cache on the broker."""
    return QueryCache(broker())
