"""Memory of engine processes: budgets, refusals with numbers, what is given back, and batches that do not fit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.settings.profile import RoleConfig
from gpu_worker.engine_pool import EnginePool
from inference.engines.fakes_failing import FakeHungryEmbedder
from inference.errors import LimitExceeded, OutOfMemory
from tests.services.worker.conftest import ROLES, HostRun

pytestmark = pytest.mark.services

LIMIT_S = 30.0


def wait_until(what: str, look: Callable[[], Any]) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not look():
        assert time.monotonic() < give_up, f"{what} did not happen within {LIMIT_S:.0f} s"
        time.sleep(0.02)


def hungry(**options: int) -> RoleConfig:
    return RoleConfig(role="text", engine="fake_hungry", models=(), max_batch_items=32, options=options)


def report(pool: EnginePool, role: str = "text") -> dict[str, Any]:
    return next(engine for engine in pool.status()["engines"] if engine["role"] == role)


def embed(pool: EnginePool, *texts: str) -> Any:
    with pool.lease(role="text", deadline_s=LIMIT_S) as engine:
        return engine.embed_texts(texts)


def count(pool: EnginePool) -> None:
    with pool.lease(role="language", deadline_s=LIMIT_S) as engine:
        engine.count_tokens(["some words"])


class TestOutOfMemory:
    def test_loses_no_request_whose_texts_fit_one_by_one(self, host_run: HostRun) -> None:
        texts = [[f"text {n}", f"more of {n}"] for n in range(24)]

        with (
            host_run(roles={"text": hungry(mib_per_text=40, room_mib=200)}) as pool,
            ThreadPoolExecutor(max_workers=24) as threads,
        ):
            found = list(threads.map(lambda one: embed(pool, *one), texts))
            engine = report(pool)

        alone = FakeHungryEmbedder()
        for one, vectors in zip(texts, found, strict=True):
            assert np.allclose(vectors, alone.embed_texts(one))
        assert engine["halvings"] > 0
        assert max(map(int, engine["batch_sizes"])) <= 4
        assert (engine["loads"], engine["crashes"]) == (1, 0)

    def test_of_one_text_alone_is_an_error_that_a_step_retries(self, host_run: HostRun) -> None:
        with (
            host_run(roles={"text": hungry(mib_per_text=300, room_mib=200)}) as pool,
            pytest.raises(OutOfMemory) as failed,
        ):
            # The first small piece of work is as large as any other here.
            embed(pool, "one")

        assert failed.value.retryable


class TestBudget:
    def test_refuses_what_can_never_fit_with_the_numbers(self, host_run: HostRun) -> None:
        with host_run(budget_mib=200, roles={"text": hungry(resident_mib=300)}) as pool:
            with pytest.raises(LimitExceeded, match=r"text.*3\d\d MiB of cpu, whose budget is 200 MiB"):
                embed(pool, "first")
            with pytest.raises(LimitExceeded, match=r"takes 3\d\d MiB of cpu at its peak; the budget is 200 MiB"):
                embed(pool, "now it is known")

            assert report(pool)["loads"] == 0
            assert pool.status()["pss_mib"] == 0

    def test_keeps_pinned_engines_and_refuses_what_has_no_room_beside_them(self, host_run: HostRun) -> None:
        roles = {
            "text": dataclasses.replace(hungry(resident_mib=200), pinned=True),
            "language": dataclasses.replace(ROLES["language"], engine="fake_language"),
        }
        with host_run(budget_mib=260, roles=roles) as pool:
            embed(pool, "pinned")
            before = report(pool)["pid"]
            with pytest.raises(LimitExceeded, match="of which pinned engines hold 2"):
                count(pool)
            embed(pool, "still there")

            assert report(pool)["pid"] == before

    def test_holds_a_leased_engine_back_from_eviction(self, host_run: HostRun) -> None:
        roles = {"text": hungry(resident_mib=200), "language": ROLES["language"]}
        with host_run(budget_mib=280, roles=roles) as pool, ThreadPoolExecutor(max_workers=1) as threads:
            embed(pool, "loaded")
            with pool.lease(role="text", deadline_s=LIMIT_S) as engine:
                wait_until("the lease is counted", lambda: report(pool)["leases"] == 1)
                other = threads.submit(count, pool)
                wait_until("the other engine waits", lambda: report(pool, "language")["state"] == "loading")
                engine.embed_texts(["between two calls of one lease the engine stays"])
                assert report(pool)["loads"] == 1
            other.result(LIMIT_S)

            assert not report(pool)["loaded"]
            assert report(pool)["leases"] == 0

    def test_is_given_back_by_an_idle_engine(self, host_run: HostRun) -> None:
        roles = {"text": dataclasses.replace(hungry(resident_mib=200), idle_unload_s=0.1)}
        with host_run(roles=roles) as pool:
            embed(pool, "once")
            pid, held_mib = report(pool)["pid"], pool.status()["pss_mib"]

            wait_until("the engine is unloaded", lambda: not report(pool)["loaded"])

            assert held_mib > 200
            assert pool.status()["pss_mib"] == 0
            wait_until("its process has ended", lambda: not Path(f"/proc/{pid}").exists())
            assert embed(pool, "again").shape[0] == 1
