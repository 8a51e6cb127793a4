"""The events of an answer on their way from worker to reader: Redis Streams with resume, grace time and cancel."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, TypeAlias, cast

import redis.asyncio
from django.conf import settings

from core.remote import broker
from core.settings.env import env

STREAM_TTL_S = 3600
FINAL_EVENTS = frozenset({"done", "error"})

_Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]


def stream_key(answer_id: str) -> str:
    """Return the broker's key of an answer's events."""
    return f"cloister:answer:{answer_id}:events"


def _reader_key(answer_id: str) -> str:
    return f"cloister:answer:{answer_id}:reader"


def _cancel_key(answer_id: str) -> str:
    return f"cloister:answer:{answer_id}:cancel"


def event_append(*, answer_id: str, event: str, data: dict[str, Any]) -> None:
    """Append one event; a reader that comes later still gets it."""
    pipe = broker().pipeline()
    pipe.xadd(stream_key(answer_id), {"event": event, "data": json.dumps(data)})
    pipe.expire(stream_key(answer_id), STREAM_TTL_S)
    pipe.execute()


def reader_seen(answer_id: str) -> None:
    """Note that somebody reads; without that for the grace time, generation ends."""
    broker().set(_reader_key(answer_id), b"1", px=int(env().answer_grace_s * 1000))


def cancel_request(answer_id: str) -> None:
    """Ask the worker to stop at the next token."""
    broker().set(_cancel_key(answer_id), b"1", ex=STREAM_TTL_S)


def stop_reason(answer_id: str) -> str | None:
    """Return why generation should stop now: ``cancelled``, ``abandoned``, or None to go on."""
    cancelled, reader = broker().mget([_cancel_key(answer_id), _reader_key(answer_id)])
    if cancelled is not None:
        return "cancelled"
    return None if reader is not None else "abandoned"


async def events_relay(answer_id: str, last_event_id: str = "0") -> AsyncIterator[tuple[str, str, str] | None]:
    """Yield (id, event, data as JSON) from after ``last_event_id`` to the final event; None while nothing comes."""
    client = redis.asyncio.Redis.from_url(settings.BROKER_URL, protocol=2)
    grace_ms = int(env().answer_grace_s * 1000)
    try:
        last = last_event_id
        while True:
            await client.set(_reader_key(answer_id), b"1", px=grace_ms)
            answer = await client.xread({stream_key(answer_id): last}, count=100, block=1000)
            # Protocol 2 answers [[stream, entries]], or nothing when the time is over.
            entries = cast("list[tuple[bytes, list[_Entry]]]", answer)[0][1] if answer else []
            if not entries:
                yield None
            for identifier, fields in entries:
                last = identifier.decode()
                event = fields[b"event"].decode()
                yield last, event, fields[b"data"].decode()
                if event in FINAL_EVENTS:
                    return
    finally:
        await client.aclose()
