"""Runs one step: takes its lease, keeps it alive from a side thread, does the work, stores the result or the error."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Self
from uuid import UUID

from django.db import DatabaseError, connections
from django.utils import timezone

from core.access.errors import CloisterError
from core.jobs.errors import LeaseLost
from core.jobs.models import Step
from core.jobs.service import HEARTBEAT_S, step_fail, step_finish, step_heartbeat, step_lease
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.engine_pool import EnginePool
from gpu_worker.pipelines import STEPS, stage_plan
from inference.errors import InferenceError
from inference.sandbox import SandboxPool

logger = logging.getLogger(__name__)


class Heartbeat(AbstractContextManager["Heartbeat"]):
    """Extends a lease from a side thread until the block ends, or until the lease is lost.

    Args:
        beat: Extends the lease to count from the given time; False when it is lost.
        what: What is held, for the log.
    """

    def __init__(self, beat: Callable[[datetime], bool], *, what: str) -> None:
        self._beat_once = beat
        self._what = what
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{what}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def require(self) -> None:
        """Check that the lease is not known to be lost.

        Raises:
            LeaseLost: It is; whatever else the work would do is thrown away.
        """
        if self._lost.is_set():
            raise LeaseLost(f"{self._what} is no longer held by this worker")

    def _beat(self) -> None:
        try:
            while not self._ended.wait(HEARTBEAT_S):
                try:
                    alive = self._beat_once(timezone.now())
                except DatabaseError:
                    logger.warning("the database did not take a heartbeat; the next one follows", exc_info=True)
                    continue
                if not alive:
                    # The work goes on to its next call of an engine, or its next write, which the token refuses.
                    self._lost.set()
                    logger.info("the lease of %s is lost", self._what)
                    return
        finally:
            connections.close_all()


def step_run(*, step_id: UUID, owner: str, engines: EnginePool, sandboxes: SandboxPool) -> None:
    """Run a step when it is there to be run; a duplicate delivery finds a live lease and returns."""
    step = step_lease(step_id=step_id, owner=owner, now=timezone.now())
    if step is None:
        return
    try:
        with Heartbeat(functools.partial(_beat, step), what=f"step {step.pk}") as held:
            context = StepContext(step=step, engines=engines.guarded(held.require), sandboxes=sandboxes)
            outcome = STEPS[step.kind](context)
            _finish(step, outcome)
    except LeaseLost:
        logger.info("step %s %s was taken over; this attempt ends", step.kind, step.key)
    except (InferenceError, CloisterError) as error:
        _fail(step, error.code, str(error), retryable=getattr(error, "retryable", False))
    except Exception as error:  # the worker's boundary: whatever happened fails this step alone
        logger.exception("step %s %s failed", step.kind, step.key)
        _fail(step, "internal_error", f"{type(error).__name__}: {error}", retryable=True)


def _beat(step: Step, now: datetime) -> bool:
    assert step.lease_token is not None
    return step_heartbeat(step_id=step.pk, lease_token=step.lease_token, now=now)


def _finish(step: Step, outcome: StepOutcome) -> None:
    assert step.lease_token is not None
    step_finish(
        step_id=step.pk,
        lease_token=step.lease_token,
        result=outcome.result,
        next_steps=outcome.next_steps,
        stage_plan=functools.partial(stage_plan, step.job_id, step.stage) if step.kind != "probe" else None,
        now=timezone.now(),
    )


def _fail(step: Step, code: str, message: str, *, retryable: bool) -> None:
    assert step.lease_token is not None
    try:
        state = step_fail(
            step_id=step.pk,
            lease_token=step.lease_token,
            code=code,
            message=message,
            retryable=retryable,
            now=timezone.now(),
        )
    except LeaseLost:
        logger.info("step %s %s was taken over before its error was stored: %s", step.kind, step.key, message)
    else:
        logger.warning("step %s %s: %s: %s; now %s", step.kind, step.key, code, message, state)
