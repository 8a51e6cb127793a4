"""The engine host with real engine processes: batches, order, crashes, streams, memory."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_worker.engine_pool import EnginePool
from inference.engines.fakes import FakeTextEmbedder
from inference.errors import EmptyInput, EngineUnavailable, InputRejected
from inference.values import ChatMessage, ChatRequest
from tests.services.worker.conftest import ROLES, HostRun

pytestmark = pytest.mark.services

LIMIT_S = 30.0


def wait_until(what: str, look: Callable[[], bool]) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not look():
        assert time.monotonic() < give_up, f"{what} did not happen within {LIMIT_S:.0f} s"
        time.sleep(0.01)


def report(pool: EnginePool, role: str) -> dict[str, Any]:
    return next(engine for engine in pool.status()["engines"] if engine["role"] == role)


class Frozen:
    """A role's engine process, stopped, so that what is sent meanwhile must wait."""

    def __init__(self, pool: EnginePool, role: str) -> None:
        with pool.lease(role=role) as engine:  # type: ignore[call-overload]
            engine.embed_texts(["warm up"])
        self.pool, self.role, self.pid = pool, role, report(pool, role)["pid"]

    def __enter__(self) -> Frozen:
        os.kill(self.pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        if Path(f"/proc/{self.pid}").exists():
            os.kill(self.pid, signal.SIGCONT)

    def wait(self, *, in_flight: int = 1, **queued: int) -> None:
        def reached() -> bool:
            found = report(self.pool, self.role)
            return found["in_flight"] == in_flight and all(found["queued"][name] == n for name, n in queued.items())

        wait_until(f"{in_flight} in flight and {queued} queued", reached)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=16) as executor:
        yield executor


def embed(pool: EnginePool, texts: list[str], priority: str = "bulk") -> Any:
    with pool.lease(role="text", priority=priority, deadline_s=LIMIT_S) as engine:  # type: ignore[call-overload]
        return engine.embed_texts(texts)


class TestBatches:
    def test_merge_what_waits_and_give_everyone_his_own_results(
        self, host: EnginePool, threads: ThreadPoolExecutor
    ) -> None:
        with Frozen(host, "text") as frozen:
            first = threads.submit(embed, host, ["the first holds the engine"])
            frozen.wait(in_flight=1)
            waiting = [threads.submit(embed, host, [f"text {n}", f"more of {n}"]) for n in range(4)]
            frozen.wait(in_flight=1, bulk=4)

        alone = FakeTextEmbedder()
        assert np.allclose(first.result(LIMIT_S), alone.embed_texts(["the first holds the engine"]))
        for n, future in enumerate(waiting):
            assert np.allclose(future.result(LIMIT_S), alone.embed_texts([f"text {n}", f"more of {n}"]))
        assert report(host, "text")["batch_sizes"] == {"1": 2, "8": 1}

    def test_cut_a_large_request_to_the_profile_s_limit(self, host: EnginePool) -> None:
        texts = [f"text number {n}" for n in range(19)]

        vectors = embed(host, texts)

        assert np.allclose(vectors, FakeTextEmbedder().embed_texts(texts))
        assert report(host, "text")["batch_sizes"] == {"3": 1, "8": 2}

    def test_run_interactive_requests_before_bulk_ones(self, host: EnginePool, threads: ThreadPoolExecutor) -> None:
        order: list[str] = []

        def ask(name: str, texts: list[str], priority: str) -> None:
            embed(host, texts, priority)
            order.append(name)

        with Frozen(host, "text") as frozen:
            running = threads.submit(ask, "running", ["already running"], "bulk")
            frozen.wait(in_flight=1)
            bulk = threads.submit(ask, "bulk", [f"bulk {n}" for n in range(80)], "bulk")
            frozen.wait(in_flight=1, bulk=1)
            query = threads.submit(ask, "query", ["a person waits"], "interactive")
            frozen.wait(in_flight=1, bulk=1, interactive=1)

        for future in (running, bulk, query):
            future.result(LIMIT_S)
        assert order.index("query") < order.index("bulk")

    def test_an_item_that_can_never_work_fails_its_own_request_alone(
        self, host: EnginePool, threads: ThreadPoolExecutor
    ) -> None:
        with Frozen(host, "text") as frozen:
            running = threads.submit(embed, host, ["already running"])
            frozen.wait(in_flight=1)
            poisoned = threads.submit(embed, host, ["good", ""])
            neighbour = threads.submit(embed, host, ["neighbour"])
            frozen.wait(in_flight=1, bulk=2)

        assert running.result(LIMIT_S).shape[0] == 1
        with pytest.raises(EmptyInput):
            poisoned.result(LIMIT_S)
        assert np.allclose(neighbour.result(LIMIT_S), FakeTextEmbedder().embed_texts(["neighbour"]))


class TestCrash:
    def test_fails_the_requests_it_held_and_no_others(self, host: EnginePool, threads: ThreadPoolExecutor) -> None:
        with Frozen(host, "text") as frozen:
            held = threads.submit(embed, host, ["held by the engine"])
            frozen.wait(in_flight=1)
            queued = threads.submit(embed, host, ["waits in the queue"])
            frozen.wait(in_flight=1, bulk=1)
            os.kill(frozen.pid, signal.SIGKILL)

            with pytest.raises(EngineUnavailable, match="fake_text"):
                held.result(LIMIT_S)
            assert queued.result(LIMIT_S).shape[0] == 1

        found = report(host, "text")
        assert found["pid"] != frozen.pid
        assert (found["crashes"], found["loads"]) == (1, 2)

    def test_leaves_the_other_engines_alone(self, host: EnginePool) -> None:
        with host.lease(role="language", deadline_s=LIMIT_S) as language:
            language.count_tokens(["warm"])
        before = report(host, "language")["pid"]
        with Frozen(host, "text") as frozen:
            os.kill(frozen.pid, signal.SIGKILL)

        with host.lease(role="language", deadline_s=LIMIT_S) as language:
            assert language.count_tokens(["still here"])[0] > 0
        assert report(host, "language")["pid"] == before

    def test_an_engine_that_cannot_load_fails_its_requests_with_the_reason(self, host_run: HostRun) -> None:
        import dataclasses

        roles = {"text": dataclasses.replace(ROLES["text"], recipe_version="another")}
        with (
            host_run(roles=roles) as pool,
            pytest.raises(EngineUnavailable, match="follows recipe 1, not another"),
        ):
            embed(pool, ["anything"])


class TestDeadline:
    def test_ends_the_wait_with_a_sentence_and_drops_the_request(
        self, host: EnginePool, threads: ThreadPoolExecutor
    ) -> None:
        with Frozen(host, "text") as frozen:
            running = threads.submit(embed, host, ["already running"])
            frozen.wait(in_flight=1)
            with (
                pytest.raises(EngineUnavailable, match="no answer within"),
                host.lease(role="text", deadline_s=0.2) as engine,
            ):
                engine.embed_texts(["too late"])

        running.result(LIMIT_S)
        assert report(host, "text")["batch_sizes"] == {"1": 2}


class TestStream:
    REQUEST = ChatRequest(messages=(ChatMessage(role="user", content="tell me about " + "boats " * 40),), max_tokens=60)

    def test_gives_the_pieces_that_the_engine_itself_gives(self, host: EnginePool) -> None:
        from inference.engines.fakes import FakeLanguageModel

        with host.lease(role="language", deadline_s=LIMIT_S) as engine:
            pieces = list(engine.generate(self.REQUEST))

        assert pieces == list(FakeLanguageModel().generate(self.REQUEST))
        assert len(pieces) > 3

    def test_closing_the_iterator_frees_the_engine(self, host: EnginePool) -> None:
        with host.lease(role="language", deadline_s=LIMIT_S) as engine:
            for _ in range(5):
                pieces = engine.generate(self.REQUEST)
                next(pieces)
                pieces.close()  # type: ignore[attr-defined]

            wait_until("the engine is free", lambda: report(host, "language")["in_flight"] == 0)
            assert engine.count_tokens(["still answers"])[0] > 0

    def test_runs_as_many_at_once_as_the_profile_says(self, host: EnginePool) -> None:
        with host.lease(role="language", deadline_s=LIMIT_S) as engine:
            engine.count_tokens(["warm"])
            os.kill(pid := report(host, "language")["pid"], signal.SIGSTOP)
            try:
                done: list[Future[Any]] = []
                with ThreadPoolExecutor(max_workers=5) as threads:
                    done = [threads.submit(lambda: list(engine.generate(self.REQUEST))) for _ in range(5)]
                    wait_until("three run", lambda: report(host, "language")["in_flight"] == 3)
                    wait_until("two wait", lambda: report(host, "language")["queued"]["bulk"] == 2)
                    os.kill(pid, signal.SIGCONT)
            finally:
                os.kill(pid, signal.SIGCONT)

        texts = {"".join(piece.text for piece in future.result(LIMIT_S)) for future in done}
        assert len(texts) == 1

    def test_a_caller_that_goes_away_ends_its_stream(self, host: EnginePool) -> None:
        leaving = EnginePool(host._socket_path)
        started = threading.Event()

        def read_one() -> None:
            stream = leaving.stream(
                role="language", priority="interactive", deadline_s=LIMIT_S, method="generate", item=self.REQUEST
            )
            next(stream)
            started.set()
            stream.close()

        reader = threading.Thread(target=read_one)
        reader.start()
        reader.join(LIMIT_S)
        leaving.close()

        assert started.is_set()
        wait_until("the engine is free", lambda: report(host, "language")["in_flight"] == 0)


class TestMemory:
    def test_ends_the_least_recently_used_idle_engine_when_another_needs_its_room(self, host_run: HostRun) -> None:
        with host_run(budget_mib=370) as pool:
            embed(pool, ["first"])
            first = report(pool, "text")["pid"]
            with pool.lease(role="language", deadline_s=LIMIT_S) as language:
                language.count_tokens(["second"])

            assert not report(pool, "text")["loaded"]
            assert report(pool, "language")["loaded"]
            assert not Path(f"/proc/{first}").exists()
            assert embed(pool, ["loaded again"]).shape[0] == 1

    def test_reports_the_measured_size_of_what_is_loaded(self, host: EnginePool) -> None:
        embed(host, ["first"])

        status = host.status()

        sizes = {engine["role"]: engine["pss_mib"] for engine in status["engines"]}
        assert sizes["text"] > 10
        assert sizes["speech"] == 0
        assert status["pss_mib"] == pytest.approx(sum(sizes.values()), abs=0.5)


class TestRefusals:
    def test_name_what_is_not_served(self, host: EnginePool) -> None:
        with (
            pytest.raises(InputRejected, match="serves no role 'vision'"),
            host.lease(role="vision", deadline_s=LIMIT_S) as engine,
        ):
            engine.describe([])
