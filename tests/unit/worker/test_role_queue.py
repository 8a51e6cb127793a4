"""Batches across requests: their bounds, their order, and what is learned from one for the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from core.settings.profile import RoleConfig
from gpu_worker.engine_request import EngineRequest, Priority, item_units
from gpu_worker.role_queue import Batch, RoleQueue
from inference import codec
from inference.registry import ROLES

EMBED = ROLES["text"].methods["embed_texts"]
CONFIG = RoleConfig(role="text", engine="fake_text", models=(), max_batch_items=100, batch_units=1000)
BOUNDED_IN_TIME = RoleConfig(role="text", engine="fake_text", models=(), max_batch_items=100, bulk_batch_s=0.5)


def request(units: Sequence[int], priority: Priority = "bulk") -> EngineRequest:
    items = tuple(codec.item_encode("text") for _ in units)
    return EngineRequest(method=EMBED, items=items, units=units, priority=priority)


def with_queue(config: RoleConfig, act: Callable[[RoleQueue], Any]) -> Any:
    async def run() -> Any:
        return act(RoleQueue(config))

    return asyncio.run(run())


def units_of(batch: Batch | None) -> list[int]:
    assert batch is not None
    return [one.units[index] for one, index in batch.entries]


class TestBatch:
    def test_ends_at_the_units_of_the_role_across_requests(self) -> None:
        def act(queue: RoleQueue) -> list[list[int]]:
            for units in ([400], [300, 300], [200]):
                queue.submit(request(units))
            return [units_of(queue.take()), units_of(queue.take())]

        assert with_queue(CONFIG, act) == [[400, 300, 300], [200]]

    def test_takes_one_item_however_large(self) -> None:
        def act(queue: RoleQueue) -> list[list[int]]:
            queue.submit(request([5000, 10]))
            return [units_of(queue.take()), units_of(queue.take())]

        assert with_queue(CONFIG, act) == [[5000], [10]]

    def test_of_bulk_work_ends_at_the_seconds_that_an_interactive_request_may_wait(self) -> None:
        def act(queue: RoleQueue) -> tuple[list[int], list[int]]:
            queue.submit(request([100] * 10))
            first = queue.take()
            assert first is not None
            queue.ran(first, took_s=1.0)
            queue.submit(request([100] * 10))
            queue.submit(request([100] * 10, "interactive"))
            return units_of(queue.take()), units_of(queue.take())

        interactive, bulk = with_queue(BOUNDED_IN_TIME, act)

        assert len(interactive) == 10
        assert len(bulk) == 5

    def test_of_bulk_work_is_not_cut_because_queries_are_short(self) -> None:
        def act(queue: RoleQueue) -> int:
            for _ in range(20):
                queue.submit(request([2], "interactive"))
                query = queue.take()
                assert query is not None
                queue.ran(query, took_s=0.01)
            queue.submit(request([100] * 10))
            return len(units_of(queue.take()))

        assert with_queue(BOUNDED_IN_TIME, act) == 10

    def test_is_smaller_after_one_that_did_not_fit_and_grows_back(self) -> None:
        def act(queue: RoleQueue) -> list[int]:
            queue.submit(request([100] * 60))
            first = queue.take()
            assert first is not None
            queue.did_not_fit(first)
            sizes = [len(first.entries)]
            for _ in range(4):
                batch = queue.take()
                assert batch is not None
                sizes.append(len(batch.entries))
                queue.ran(batch, took_s=0.1)
            return sizes

        assert with_queue(CONFIG, act) == [10, 5, 6, 7, 9]


class TestSuspects:
    def test_run_alone_behind_interactive_work(self) -> None:
        def act(queue: RoleQueue) -> list[tuple[bool, int]]:
            for _ in range(3):
                queue.submit(request([1]))
            died = queue.take()
            assert died is not None
            queue.suspect(died)
            queue.submit(request([1, 1], "interactive"))
            queue.submit(request([1, 1, 1, 1]))
            taken = [queue.take() for _ in range(5)]
            return [(one.alone, len(one.entries)) for one in taken if one is not None]

        assert with_queue(CONFIG, act) == [(False, 2), (True, 1), (True, 1), (True, 1), (False, 4)]


class TestUnits:
    def test_are_tokens_pixels_and_samples(self) -> None:
        import numpy as np

        text = codec.item_encode("four letter words make this text of about sixteen tokens in all")
        picture = codec.item_encode(np.zeros((20, 30, 3), dtype=np.uint8))
        sound = codec.item_encode(np.zeros(16_000, dtype=np.float32))

        assert 12 <= item_units("text", text) <= 20
        assert item_units("ocr", picture) == 600
        assert item_units("speech", sound) == 16_000
