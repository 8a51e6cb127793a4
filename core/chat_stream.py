"""A chat on its way from worker to caller: pieces in a Redis stream, ended as soon as the caller is gone."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import AsyncGenerator
from typing import Any, Literal, TypeAlias, cast

import redis.asyncio
from django.conf import settings

from core import task_names
from core.celery_app import app
from core.remote import WorkerUnavailable, broker

STREAM_TTL_S = 600
READER_TTL_MS = 3000
"""A web process that dies takes its caller with it; the reader's mark is set anew every ``READ_BLOCK_MS``."""

READ_BLOCK_MS = 500
SILENCE_S = 330.0
"""Longer than a worker waits for its engine, so that its own sentence arrives."""

FINAL_EVENTS = frozenset({"done", "error", "cancelled"})

_Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurn:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """What is asked of a worker.

    Attributes:
        turns: At least one.
        max_tokens: None is what the model's window leaves.
        pictures: Names of call files; with one, the vision-language role answers the last turn.
        owner: Whose pictures these are.
    """

    turns: tuple[ChatTurn, ...]
    max_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    pictures: tuple[str, ...] = ()
    owner: str = ""

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ChatCall:
        """Build a call from ``dataclasses.asdict`` as it came through the broker."""
        turns = tuple(ChatTurn(**turn) for turn in fields["turns"])
        changed = {"turns": turns, "stop": tuple(fields["stop"]), "pictures": tuple(fields["pictures"])}
        return cls(**{**fields, **changed})


def chat_start(chat_id: str, call: ChatCall, *, deadline_s: float) -> None:
    """Ask a worker to answer a chat into the stream of that id."""
    broker().set(_key(chat_id, "reader"), b"1", px=READER_TTL_MS)
    app.send_task(
        task_names.CHAT_GENERATE,
        args=[chat_id, dataclasses.asdict(call)],
        queue=task_names.QUEUE_INTERACTIVE,
        expires=deadline_s,
    )


def chat_cancel(chat_id: str) -> None:
    """End the generation within a second."""
    broker().delete(_key(chat_id, "reader"))


def chat_is_wanted(chat_id: str) -> bool:
    """Whether somebody still reads."""
    return broker().get(_key(chat_id, "reader")) is not None


def chat_event(chat_id: str, event: Literal["token", "done", "error", "cancelled"], data: dict[str, Any]) -> None:
    """Append one event to the stream of a chat."""
    pipe = broker().pipeline()
    pipe.xadd(_key(chat_id, "events"), {"event": event, "data": json.dumps(data)})
    pipe.expire(_key(chat_id, "events"), STREAM_TTL_S)
    pipe.execute()


async def chat_events(chat_id: str) -> AsyncGenerator[tuple[str, dict[str, Any]] | None, None]:
    """Yield (event, data) up to the final one; None while nothing comes. Closing it ends the generation.

    Raises:
        WorkerUnavailable: Nothing came for ``SILENCE_S``.
    """
    client = redis.asyncio.Redis.from_url(settings.BROKER_URL, protocol=2)
    last, heard_s = "0", time.monotonic()
    try:
        while True:
            await client.set(_key(chat_id, "reader"), b"1", px=READER_TTL_MS)
            answer = await client.xread({_key(chat_id, "events"): last}, count=100, block=READ_BLOCK_MS)
            # Protocol 2 answers [[stream, entries]], or nothing when the time is over.
            entries = cast("list[tuple[bytes, list[_Entry]]]", answer)[0][1] if answer else []
            if entries:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > SILENCE_S:
                raise WorkerUnavailable(f"no worker answered within {SILENCE_S:.0f} s; look at './cloister status'")
            else:
                yield None
            for identifier, fields in entries:
                last = identifier.decode()
                event = fields[b"event"].decode()
                yield event, json.loads(fields[b"data"])
                if event in FINAL_EVENTS:
                    return
    finally:
        await client.delete(_key(chat_id, "reader"))
        await client.aclose()


def _key(chat_id: str, name: str) -> str:
    return f"cloister:chat:{chat_id}:{name}"
