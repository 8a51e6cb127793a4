"""A seeded mix of unlike work for an engine host: queries, passages, pictures, pages, recordings and chats at once."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from core.settings.profile import Profile, RoleConfig
from gpu_worker.engine_pool import EnginePool, Priority
from gpu_worker.memory_ledger import process_memory
from gpu_worker.trial_work import large_item, small_item
from inference.errors import InferenceError

CLIENTS = 6
DEADLINE_S = 600.0
SAMPLE_S = 0.25
WORDS = ["berth", "bollard", "harbour", "tide", "gauge", "pump", "valve", "ledger", "audit", "winch"]

Weights = Mapping[str, int]
WEIGHTS: Weights = {
    "text": 10,
    "image_text": 4,
    "language": 3,
    "ocr": 1,
    "layout": 2,
    "vision": 2,
    "speaker": 1,
    "speech": 1,
}
"""How often a client turns to a role."""


class PssSampler:
    """Samples the memory of all children of a process in a side thread."""

    def __init__(self, parent: int) -> None:
        self.samples_mib: list[float] = []
        self._parent = psutil.Process(parent)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pss-sampler", daemon=True)

    def now_mib(self) -> float:
        """Return the sum at this moment."""
        return sum(process_memory(child.pid).now_mib for child in self._parent.children(recursive=True))

    def __enter__(self) -> PssSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.samples_mib.append(self.now_mib())


def mixture_run(
    pool: EnginePool, *, seed: int, seconds: float, roles: Mapping[str, RoleConfig]
) -> tuple[collections.Counter[str], list[str]]:
    """Let six clients work for so long; returns the calls that were answered by role, and the errors."""
    answered: collections.Counter[str] = collections.Counter()
    errors: list[str] = []
    end_s = time.monotonic() + seconds

    def client(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        known = [role for role in WEIGHTS if role in roles]
        while time.monotonic() < end_s:
            # The weights move on, so that what is busy now is idle in a minute.
            turn = int((end_s - time.monotonic()) // 20) % len(known)
            favoured = {known[turn], known[(turn + 3) % len(known)]}
            role = chance.choices(known, [WEIGHTS[one] * (6 if one in favoured else 1) for one in known])[0]
            try:
                _WORK[role](pool, chance)
                answered[role] += 1
            except InferenceError as error:
                errors.append(f"{role}: {error}")

    with ThreadPoolExecutor(max_workers=CLIENTS) as threads:
        list(threads.map(client, range(CLIENTS)))
    return answered, errors


def mixture_profile(embedded: Profile, budget_mib: int) -> Profile:
    """Return the embedded profile with a budget that holds about half of its engines, none of them pinned."""
    roles = {
        role: dataclasses.replace(config, preload=False, pinned=False)
        for role, config in embedded.roles.items()
        if role in WEIGHTS
    }
    return dataclasses.replace(embedded, name="bench", memory_budget_mib=budget_mib, roles=roles, residency_s=3.0)


@contextlib.contextmanager
def _leased(pool: EnginePool, role: str, chance: random.Random) -> Iterator[Any]:
    priority: Priority = chance.choice(["interactive", "bulk"])
    with pool.lease(role=role, priority=priority, deadline_s=DEADLINE_S) as engine:  # type: ignore[call-overload]
        yield engine


def _texts(pool: EnginePool, chance: random.Random) -> None:
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(3, 200))) for _ in range(chance.randint(1, 64))]
    with _leased(pool, "text", chance) as engine:
        engine.embed_texts(texts)


def _pictures(pool: EnginePool, chance: random.Random) -> None:
    pictures = [large_item("embed_images")] * chance.randint(1, 8)
    with _leased(pool, "image_text", chance) as engine:
        engine.embed_images(pictures)


def _chat(pool: EnginePool, chance: random.Random) -> None:
    with _leased(pool, "language", chance) as engine:
        for _ in engine.generate(small_item("generate")):
            pass


def _batch(role: str, method: str, items: int) -> Callable[[EnginePool, random.Random], None]:
    def work(pool: EnginePool, chance: random.Random) -> None:
        with _leased(pool, role, chance) as engine:
            getattr(engine, method)([large_item(method)] * chance.randint(1, items))

    return work


_WORK: Mapping[str, Callable[[EnginePool, random.Random], None]] = {
    "text": _texts,
    "image_text": _pictures,
    "language": _chat,
    "ocr": _batch("ocr", "read", 1),
    "layout": _batch("layout", "detect", 2),
    "vision": _batch("vision", "describe", 2),
    "speaker": _batch("speaker", "embed_voices", 1),
    "speech": _batch("speech", "transcribe", 1),
}
