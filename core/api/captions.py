"""Live captions over a WebSocket: sound in, words out; a word that was called confirmed never changes.

The client sends binary frames of mono 16 kHz s16le sound and text frames of JSON: ``{"type": "start", "language": "en",
"hot_words": [...]}`` before the first sound where it wants to state these, ``{"type": "end"}`` after the last. It gets
``ready`` (the engine is loaded), ``confirmed`` (words with their times), ``partial`` (what may still change), ``done``
or ``error``.

The web process keeps the sound that is still needed, and no model: a worker runs every pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any, Final

import redis.asyncio
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from rest_framework import serializers

from core.access.models import User
from core.api.bearer import bearer_user
from core.remote import SOCKET_TIMEOUT_S, CaptionsPass, WorkerRefused, WorkerUnavailable, captions_hear
from inference.values import LIVE_WINDOW_MAX_S, SAMPLE_RATE_HZ

logger = logging.getLogger(__name__)

SAMPLE_BYTES: Final = 2
STEP_S: Final = 1.0
"""A pass waits for this much new sound."""

BACKLOG_MAX_S: Final = 30.0
"""With so much sound waiting nothing more is read from the client until a pass is done."""

FRAME_MAX_BYTES: Final = 10 * SAMPLE_RATE_HZ * SAMPLE_BYTES
SILENCE: Final = bytes(SAMPLE_RATE_HZ // 10 * SAMPLE_BYTES)
SESSIONS_MAX: Final = 32
"""In one web process; each keeps up to a minute of sound."""

CLOSE_INVALID: Final = 1007
CLOSE_TRY_AGAIN: Final = 1013
CLOSE_UNSUPPORTED: Final = 4415


class StartSerializer(serializers.Serializer[dict[str, Any]]):
    """What a client may say before its first sound."""

    language = serializers.RegexField(r"^[a-z]{2,3}$", required=False, allow_null=True, default=None)
    hot_words = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, default=list, max_length=50
    )


class KeptSound:
    """The sound that passes still need; times count from the start of the session."""

    def __init__(self) -> None:
        self._samples = bytearray()
        self.keep_from_s = 0.0

    @property
    def end_s(self) -> float:
        """Where the sound that has come ends."""
        return self.keep_from_s + len(self._samples) / (SAMPLE_RATE_HZ * SAMPLE_BYTES)

    def append(self, samples: bytes) -> None:
        """Add what has come."""
        self._samples += samples

    def window(self) -> bytes:
        """Return the sound of the next pass."""
        return bytes(self._samples[: round(LIVE_WINDOW_MAX_S * SAMPLE_RATE_HZ) * SAMPLE_BYTES])

    def let_go(self, keep_from_s: float) -> None:
        """Forget the sound before a time."""
        samples = round((keep_from_s - self.keep_from_s) * SAMPLE_RATE_HZ)
        del self._samples[: samples * SAMPLE_BYTES]
        self.keep_from_s += samples / SAMPLE_RATE_HZ


class CaptionsConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One session of live captions."""

    sessions = 0

    async def connect(self) -> None:
        """Accept whoever has a token or a session of the pages."""
        self._counted = False
        self._task: asyncio.Task[None] | None = None
        if await _user(self.scope) is None:
            await self.close()
            return
        await self.accept()
        if CaptionsConsumer.sessions >= SESSIONS_MAX:
            await self._fail("too_many", f"{SESSIONS_MAX} sessions are open; try again later", CLOSE_TRY_AGAIN)
            return
        CaptionsConsumer.sessions += 1
        self._counted = True
        self._sound = KeptSound()
        self._heard_s = 0.0
        self._ended = False
        self._language: str | None = None
        self._hot_words: tuple[str, ...] = ()
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._passes())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take sound, or a message about it."""
        if self._task is None or self._task.done():
            return
        if bytes_data is not None:
            await self._sound_take(bytes_data)
        else:
            await self._message_take(text_data or "")

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - Channels' signature
        """End the session."""
        if self._counted:
            CaptionsConsumer.sessions -= 1
            self._counted = False
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _sound_take(self, samples: bytes) -> None:
        if len(samples) % SAMPLE_BYTES or len(samples) > FRAME_MAX_BYTES or self._ended:
            reason = (
                f"a frame of {len(samples)} bytes: sound is s16le mono of {SAMPLE_RATE_HZ} Hz in whole samples, "
                f"at most {FRAME_MAX_BYTES} bytes a frame, and none after 'end'"
            )
            await self._fail("invalid", reason, CLOSE_INVALID)
            return
        async with self._changed:
            # Channels hands over one message after the other, so waiting here holds back the client.
            await self._changed.wait_for(lambda: self._waiting_s() < BACKLOG_MAX_S or self._is_over())
            self._sound.append(samples)
            self._changed.notify_all()

    async def _message_take(self, text: str) -> None:
        try:
            message = json.loads(text)
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            await self._fail("invalid", "a text frame is a JSON object with a 'type'", CLOSE_INVALID)
            return
        if kind == "end":
            async with self._changed:
                self._ended = True
                self._changed.notify_all()
        elif kind == "start" and self._sound.end_s == 0:
            fields = StartSerializer(data={name: value for name, value in message.items() if name != "type"})
            if not fields.is_valid():
                await self._fail("invalid", json.dumps(fields.errors), CLOSE_INVALID)
                return
            self._language = fields.validated_data["language"]
            self._hot_words = tuple(fields.validated_data["hot_words"])
        else:
            await self._fail("invalid", "the types are 'start', before any sound, and 'end'", CLOSE_INVALID)

    async def _passes(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.BROKER_URL, protocol=2, socket_timeout=SOCKET_TIMEOUT_S)
        state: dict[str, Any] | None = None
        try:
            # A moment of silence loads the engine, so that nobody speaks into the time that this takes.
            await captions_hear(client, self._pass_over(SILENCE, state, is_last=False))
            await self._say("ready", sample_rate_hz=SAMPLE_RATE_HZ, format="s16le", channels=1)
            is_last = False
            while not is_last:
                await self._pass_due()
                window = self._sound.window()
                is_last = self._ended and len(window) == self._sound_bytes()
                found = await captions_hear(client, self._pass_over(window, state, is_last=is_last))
                state = found["state"]
                await self._found(found)
            await self._say("done", heard_s=round(self._heard_s, 2))
            await self.close()
        except WorkerUnavailable as error:
            await self._fail(error.code, str(error), CLOSE_TRY_AGAIN)
        except WorkerRefused as error:
            await self._fail(error.code, str(error), CLOSE_UNSUPPORTED)
        except redis.RedisError as error:
            logger.warning("a session of live captions lost the broker", exc_info=True)
            await self._fail("worker_unavailable", f"the broker cannot be reached: {error}", CLOSE_TRY_AGAIN)
        finally:
            await client.aclose()
            async with self._changed:
                self._changed.notify_all()

    def _pass_over(self, sound: bytes, state: dict[str, Any] | None, *, is_last: bool) -> CaptionsPass:
        return CaptionsPass(
            sound=sound, state=state, language=self._language, hot_words=self._hot_words, is_last=is_last
        )

    async def _pass_due(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or self._is_full() or self._waiting_s() >= STEP_S)

    async def _found(self, found: dict[str, Any]) -> None:
        async with self._changed:
            self._heard_s = found["heard_until_s"]
            self._sound.let_go(found["keep_from_s"])
            self._changed.notify_all()
        if found["confirmed"]:
            # A language that was found once holds, else a pause or a name would turn it.
            self._language = self._language or found["language"]
            await self._say("confirmed", words=found["confirmed"], heard_s=round(self._heard_s, 2))
        await self._say("partial", words=found["partial"], heard_s=round(self._heard_s, 2))

    def _sound_bytes(self) -> int:
        return round((self._sound.end_s - self._sound.keep_from_s) * SAMPLE_RATE_HZ) * SAMPLE_BYTES

    def _waiting_s(self) -> float:
        return self._sound.end_s - self._heard_s

    def _is_full(self) -> bool:
        return self._sound.end_s - self._sound.keep_from_s >= LIVE_WINDOW_MAX_S

    def _is_over(self) -> bool:
        return self._task is None or self._task.done()

    async def _say(self, kind: str, **fields: Any) -> None:
        await self.send(text_data=json.dumps({"type": kind, **fields}))

    async def _fail(self, code: str, message: str, close_code: int) -> None:
        await self._say("error", code=code, message=message)
        await self.close(code=close_code)


async def _user(scope: dict[str, Any]) -> User | None:
    headers = {name.lower(): value for name, value in scope["headers"]}
    if b"authorization" in headers:
        return await sync_to_async(bearer_user)(headers[b"authorization"].decode("latin-1"))
    # The session's user loads on first touch.
    user = await sync_to_async(lambda: scope["user"] if scope["user"].is_authenticated else None)()
    return user if isinstance(user, User) else None
