"""A step whose lease is lost, as by a cancelled job, stops at its next call of an engine."""

from __future__ import annotations

import threading

import pytest

from core.jobs.errors import LeaseLost
from gpu_worker import step_runner
from gpu_worker.step_runner import Heartbeat

pytestmark = pytest.mark.services


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_runner, "HEARTBEAT_S", 0.01)


def embed_again_and_again(engine) -> None:
    for _ in range(1000):
        engine.embed_texts(["two"])


@pytest.mark.usefixtures("_quick")
class TestHeartbeat:
    def test_no_engine_is_called_once_the_lease_is_lost(self, host):
        lost, looked = threading.Event(), threading.Event()

        def beat(_now) -> bool:
            if lost.is_set():
                looked.set()
            return not lost.is_set()

        with (
            Heartbeat(beat, what="a step") as held,
            host.guarded(held.require).lease(role="text") as engine,
        ):
            assert len(engine.embed_texts(["one"])) == 1
            lost.set()
            assert looked.wait(10)

            with pytest.raises(LeaseLost):
                embed_again_and_again(engine)

        with host.lease(role="text") as engine:
            assert len(engine.embed_texts(["three"])) == 1
