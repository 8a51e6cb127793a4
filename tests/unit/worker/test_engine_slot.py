"""The slot of one engine: halving a batch that does not fit, back-off, and who is failed by what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from core.settings.profile import RoleConfig
from gpu_worker.engine_child import Answer
from gpu_worker.engine_request import EngineRequest, Priority
from gpu_worker.engine_slot import EngineSlot
from gpu_worker.role_queue import RoleQueue
from inference import codec
from inference.codec import Item
from inference.engines.fakes import FakeTextEmbedder
from inference.errors import EngineUnavailable, InferenceError, OutOfMemory
from inference.registry import ROLES

EMBED = ROLES["text"].methods["embed_texts"]
CONFIG = RoleConfig(role="text", engine="fake_text", models=(), max_batch_items=8)


class SmallChild:
    """An engine in this process whose memory holds ``room`` texts at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.is_dead = False
        self.pid = 0
        self.load_s = 0.0
        self.sizes: list[int] = []
        self._engine = FakeTextEmbedder()

    async def call(self, method: str, items: Sequence[Item]) -> Answer:
        self.sizes.append(len(items))
        await asyncio.sleep(0)
        if len(items) > self.room:
            raise OutOfMemory(f"{len(items)} texts do not fit")
        vectors = getattr(self._engine, method)([codec.item_decode(item) for item in items])
        return Answer(tuple(codec.item_encode(vector) for vector in vectors), len(vectors))

    async def end(self) -> None:
        self.is_dead = True


def request(*texts: str, priority: Priority = "bulk") -> EngineRequest:
    return EngineRequest(method=EMBED, items=tuple(codec.item_encode(text) for text in texts), priority=priority)


def served(
    child_start: Callable[[EngineSlot], Any], *requests: Callable[[], EngineRequest]
) -> tuple[EngineSlot, list[Any]]:
    """Run a slot until every request has ended; returns results or errors."""

    async def run() -> tuple[EngineSlot, list[Any]]:
        queue = RoleQueue(CONFIG)
        slot = EngineSlot(CONFIG, queue, child_start)
        made = [make() for make in requests]
        for one in made:
            queue.submit(one)
        serving = asyncio.create_task(slot.run())
        async with asyncio.timeout(20):
            ended = await asyncio.gather(*(one.done for one in made), return_exceptions=True)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return slot, ended

    return asyncio.run(run())


class TestOutOfMemory:
    def test_halves_the_batch_until_it_fits_and_gives_every_result(self) -> None:
        child = SmallChild(room=2)

        async def start(_: EngineSlot) -> Any:
            return child

        texts = [f"text {n}" for n in range(8)]
        slot, ended = served(start, lambda: request(*texts[:3]), lambda: request(*texts[3:]))

        found = [codec.item_decode(item).tolist() for items in ended for item in items]
        assert found == FakeTextEmbedder().embed_texts(texts).tolist()
        assert child.sizes == [8, 4, 2, 2, 4, 2, 2]
        assert dict(slot.counters.batch_sizes) == {2: 4}

    def test_fails_the_one_item_that_does_not_fit_alone(self) -> None:
        child = SmallChild(room=0)

        async def start(_: EngineSlot) -> Any:
            return child

        _, ended = served(start, lambda: request("a", "b"))

        assert isinstance(ended[0], OutOfMemory)


class TestLoading:
    def test_failure_fails_what_waits_and_the_next_request_tries_again(self) -> None:
        attempts: list[float] = []
        child = SmallChild(room=8)

        async def run() -> tuple[list[Any], float]:
            loop = asyncio.get_running_loop()

            async def start(_: EngineSlot) -> Any:
                attempts.append(loop.time())
                if len(attempts) == 1:
                    raise EngineUnavailable("no such file")
                return child

            queue = RoleQueue(CONFIG)
            slot = EngineSlot(CONFIG, queue, start)
            serving = asyncio.create_task(slot.run())
            first, second = request("a"), request("b")
            queue.submit(first)
            ended: list[Any] = list(await asyncio.gather(first.done, return_exceptions=True))
            queue.submit(second)
            ended += await asyncio.gather(second.done, return_exceptions=True)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            return ended, attempts[1] - attempts[0]

        ended, pause_s = asyncio.run(run())

        assert isinstance(ended[0], EngineUnavailable)
        assert not isinstance(ended[1], InferenceError)
        assert pause_s >= 0.5

    def test_a_cancelled_request_is_never_run(self) -> None:
        child = SmallChild(room=8)

        async def start(_: EngineSlot) -> Any:
            return child

        def cancelled() -> EngineRequest:
            made = request("nobody wants this")
            made.cancel("the caller is gone")
            return made

        _, ended = served(start, cancelled, lambda: request("wanted"))

        assert [type(ended[0]).__name__, len(ended[1])] == ["Cancelled", 1]
        assert child.sizes == [1]


@pytest.mark.parametrize("priority", ["interactive", "bulk"])
def test_batches_never_mix_priorities(priority: Priority) -> None:
    child = SmallChild(room=8)

    async def start(_: EngineSlot) -> Any:
        return child

    other: Priority = "bulk" if priority == "interactive" else "interactive"
    served(start, lambda: request("a", priority=priority), lambda: request("b", "c", priority=other))

    assert child.sizes == ([1, 2] if priority == "interactive" else [2, 1])
