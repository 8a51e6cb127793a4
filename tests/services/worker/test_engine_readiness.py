"""When a host is ready, what copies of an engine share, and what ends an engine without ending others."""

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
from inference.engines.fakes_failing import FakeAbortingEmbedder
from inference.errors import EngineUnavailable
from tests.services.worker.conftest import ROLES, HostRun

pytestmark = pytest.mark.services

LIMIT_S = 30.0
ABORTING = RoleConfig(role="text", engine="fake_aborting", models=(), max_batch_items=32)


def wait_until(what: str, look: Callable[[], Any]) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not look():
        assert time.monotonic() < give_up, f"{what} did not happen within {LIMIT_S:.0f} s"
        time.sleep(0.02)


def engines(pool: EnginePool, role: str = "text") -> list[dict[str, Any]]:
    return [engine for engine in pool.status()["engines"] if engine["role"] == role]


def embed(pool: EnginePool, *texts: str) -> Any:
    with pool.lease(role="text", deadline_s=LIMIT_S) as engine:
        return engine.embed_texts(texts)


class TestReady:
    def test_is_said_when_what_is_preloaded_has_done_its_first_work(self, host_run: HostRun) -> None:
        roles = {"text": dataclasses.replace(ROLES["text"], preload=True), "language": ROLES["language"]}
        with host_run(roles=roles) as pool:
            assert not pool.brief()["ready"]

            wait_until("the host is ready", lambda: pool.brief()["ready"])

            (engine,) = engines(pool)
            assert (engine["state"], engine["batch_sizes"]) == ("ready", {})
            assert engine["load_s"] > 0
            assert engines(pool, "language")[0]["state"] == "unloaded"

    def test_is_said_with_the_reason_when_an_engine_cannot_be_preloaded(self, host_run: HostRun) -> None:
        roles = {"text": dataclasses.replace(ROLES["text"], preload=True, recipe_version="another")}
        with host_run(roles=roles) as pool:
            wait_until("the host is ready", lambda: pool.brief()["ready"])

            (engine,) = pool.brief()["engines"]
            assert engine["state"] == "failed"
            assert "follows recipe 1, not another" in engine["error"]


class TestAbort:
    def test_of_an_engine_fails_the_request_that_caused_it_and_no_neighbour(self, host_run: HostRun) -> None:
        roles = {"text": ABORTING, "language": ROLES["language"]}
        texts = [f"neighbour {n}" for n in range(12)]
        with host_run(roles=roles) as pool, ThreadPoolExecutor(max_workers=16) as threads:
            with pool.lease(role="language", deadline_s=LIMIT_S) as language:
                language.count_tokens(["warm"])
            other = engines(pool, "language")[0]["pid"]
            embed(pool, "warm")
            guilty = threads.submit(embed, pool, "please abort now")
            neighbours = [threads.submit(embed, pool, text) for text in texts]

            with pytest.raises(EngineUnavailable, match="ended"):
                guilty.result(LIMIT_S)
            found = np.concatenate([future.result(LIMIT_S) for future in neighbours])

            assert np.allclose(found, FakeAbortingEmbedder().embed_texts(texts))
            assert 1 <= engines(pool)[0]["crashes"] <= 2
            assert engines(pool, "language")[0]["pid"] == other


class TestCopies:
    def test_share_one_queue_and_are_loaded_only_when_there_is_work_for_them(self, host_run: HostRun) -> None:
        roles = {"text": dataclasses.replace(ROLES["text"], devices=("cpu", "cpu"), max_batch_items=1)}
        with host_run(roles=roles) as pool, ThreadPoolExecutor(max_workers=8) as threads:
            for n in range(3):
                embed(pool, f"one at a time {n}")
            alone = [engine["loads"] for engine in engines(pool)]

            def work() -> None:
                list(threads.map(lambda n: embed(pool, *[f"text {n} {m}" for m in range(40)]), range(8)))

            work()
            wait_until("both copies are loaded", lambda: all(one["loaded"] for one in engines(pool)))
            work()

            assert sorted(alone) == [0, 1]
            assert all(one["batch_sizes"] for one in engines(pool))
            assert len({engine["pid"] for engine in engines(pool)}) == 2


class TestProcess:
    def test_of_an_engine_on_the_cpu_sees_no_gpu_and_gives_freed_memory_back(self, host_run: HostRun) -> None:
        with host_run(roles={"text": ROLES["text"]}) as pool:
            embed(pool, "loaded")
            content = Path(f"/proc/{engines(pool)[0]['pid']}/environ").read_bytes()

        environment = dict(line.split("=", 1) for line in content.decode().split("\0") if line)
        assert environment["CUDA_VISIBLE_DEVICES"] == ""
        assert environment["OMP_NUM_THREADS"] == str(ROLES["text"].threads)
        assert int(environment["MALLOC_ARENA_MAX"]) <= 2
        assert int(environment["MALLOC_TRIM_THRESHOLD_"]) <= 16 << 20
