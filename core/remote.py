"""The typed door through which core asks workers; replies come by a per-request key of the broker."""

from __future__ import annotations

import base64
import functools
import json
import uuid
from typing import Any, Literal

import numpy as np
import redis
from django.conf import settings

from core import task_names
from core.celery_app import app

REPLY_TTL_S = 60

SOCKET_TIMEOUT_S = 120.0
"""Longer than any wait for a reply: the library's default of a few seconds would end the wait for a loading engine."""

LAST_STAGE = 9
HIGHEST_PRIORITY = 0
"""Of the Redis transport, whose numbers run the other way round than AMQP's."""


class WorkerUnavailable(Exception):
    """No worker answered in time; the request may be repeated."""

    code = "worker_unavailable"


class WorkerRefused(Exception):
    """The worker looked at the input and cannot use it; ``code`` is that of the error in inference.errors."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@functools.cache
def broker() -> redis.Redis:
    """Return this process's connection pool to the broker."""
    return redis.Redis.from_url(settings.BROKER_URL, socket_timeout=SOCKET_TIMEOUT_S)


def step_publish(*, step_id: str, stage: int) -> None:
    """Ring the doorbell for one step; the Step row is the truth.

    Later stages go first: of many documents the first ones become searchable while the last ones still wait.
    """
    priority = max(HIGHEST_PRIORITY, LAST_STAGE - stage)
    app.send_task(task_names.STEP_RUN, args=[step_id], queue=task_names.QUEUE_BULK, priority=priority)


def answer_publish(*, answer_id: str) -> None:
    """Ask a worker to run one stored question."""
    app.send_task(task_names.ANSWER_GENERATE, args=[answer_id], queue=task_names.QUEUE_INTERACTIVE)


def query_embed(
    *, role: Literal["text", "image_text"], text: str | None = None, image: bytes | None = None, timeout_s: float = 60.0
) -> list[float]:
    """Embed a query for one space.

    Args:
        role: Which engine embeds it.
        text: The query, or None when a picture is given.
        image: Encoded picture (PNG, JPEG ...); it is decoded in a worker's sandbox, never here.
        timeout_s: How long to wait for a worker.

    Returns:
        A unit vector of the role's dimensions.

    Raises:
        WorkerUnavailable: No worker answered within ``timeout_s``.
        WorkerRefused: The picture cannot be read.
    """
    reply_key = f"cloister:reply:{uuid.uuid4().hex}"
    encoded = base64.b64encode(image).decode() if image is not None else None
    app.send_task(task_names.QUERY_EMBED, args=[reply_key, role, text, encoded], queue=task_names.QUEUE_INTERACTIVE)
    reply = _reply(reply_key, timeout_s)
    return [float(x) for x in np.frombuffer(base64.b64decode(reply["vector"]), dtype=np.float32)]


def worker_status(*, timeout_s: float = 2.0) -> dict[str, Any] | None:
    """Return what the engine host reports, or None when no worker answered in time."""
    reply_key = f"cloister:reply:{uuid.uuid4().hex}"
    app.send_task(task_names.STATUS_REPORT, args=[reply_key], queue=task_names.QUEUE_INTERACTIVE, expires=timeout_s)
    try:
        return _reply(reply_key, timeout_s)
    except WorkerUnavailable:
        return None


def _reply(reply_key: str, timeout_s: float) -> dict[str, Any]:
    popped = broker().blpop([reply_key], timeout=timeout_s)
    if popped is None:
        raise WorkerUnavailable(f"no worker answered within {timeout_s:.0f} s; look at './cloister status'")
    reply: dict[str, Any] = json.loads(popped[1])
    if "error" in reply:
        raise WorkerRefused(reply["error"]["code"], reply["error"]["message"])
    return reply
