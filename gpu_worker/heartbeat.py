"""Says every five seconds that this worker lives, what it does, and which engines its host has loaded."""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import threading
from typing import Any

import redis
from celery import signals

from core import remote
from gpu_worker import services
from gpu_worker.engine_pool import EnginePool
from inference.errors import EngineUnavailable

logger = logging.getLogger(__name__)

PERIOD_S = 5.0
HOST_LIMIT_S = 3.0


class WorkerHeartbeat:
    """Writes this worker's record into the broker from a side thread; it expires when the worker is gone."""

    def __init__(self, *, slot: str, queue: str, threads: int, engines: EnginePool) -> None:
        self._record: dict[str, Any] = {
            "slot": slot,
            "queue": queue,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "threads": threads,
            "started_at": _now(),
        }
        self._engines = engines
        self._running = 0
        self._done = 0
        self._failed = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin; counts the tasks of this process from now on."""
        signals.task_prerun.connect(self._began, weak=False)
        signals.task_postrun.connect(self._ended_one, weak=False)
        signals.task_failure.connect(self._failed_one, weak=False)
        signals.worker_shutting_down.connect(self._stop, weak=False)
        self._thread.start()

    def beat(self) -> None:
        """Write the record once."""
        with self._lock:
            counts = {"running": self._running, "done": self._done, "failed": self._failed}
        record = {**self._record, **counts, "at": _now(), **self._host()}
        remote.worker_heartbeat_write(record)

    def _host(self) -> dict[str, Any]:
        try:
            brief = self._engines.brief(timeout_s=HOST_LIMIT_S)
        except EngineUnavailable as error:
            return {"ready": False, "engines": [], "error": str(error)}
        return {"ready": brief["ready"], "engines": brief["engines"], "error": ""}

    def _run(self) -> None:
        while True:
            try:
                self.beat()
            except redis.RedisError:
                logger.warning("the broker did not take a heartbeat; the next one follows", exc_info=True)
            if self._ended.wait(PERIOD_S):
                return

    def _began(self, **_: Any) -> None:
        with self._lock:
            self._running += 1

    def _ended_one(self, **_: Any) -> None:
        with self._lock:
            self._running -= 1
            self._done += 1

    def _failed_one(self, **_: Any) -> None:
        with self._lock:
            self._failed += 1

    def _stop(self, **_: Any) -> None:
        self._ended.set()
        remote.worker_heartbeat_forget(self._record["slot"])


def heartbeat_start(*, queue: str, threads: int) -> WorkerHeartbeat:
    """Start the heartbeat of this process."""
    heartbeat = WorkerHeartbeat(slot=services.slot(), queue=queue, threads=threads, engines=services.engines())
    heartbeat.start()
    return heartbeat


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
