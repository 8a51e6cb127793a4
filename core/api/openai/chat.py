"""POST /v1/chat/completions: a plain asynchronous view, so that whoever hangs up ends the generation."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, TypeAlias

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from core.access.models import User
from core.api.bearer import bearer_user
from core.api.openai.chat_request import ChatAsked, PictureSource, chat_read
from core.api.openai.chat_shapes import Ended, Said, Shape, sse
from core.api.openai.errors import RequestRefused, error_described, error_response
from core.api.openai.file_ids import picture_bytes
from core.api.openai.grounded import grounded_answer
from core.api.openai.hanging_up import begin
from core.api.threads import in_thread
from core.api.throttles import user_throttle
from core.chat_stream import ChatCall, chat_cancel, chat_events, chat_start
from core.remote import WorkerRefused, call_files

CHAT_DEADLINE_S = 300.0
WAITING_EVERY = 20
"""Of so many empty waits for the worker one is told to the caller, so that no proxy takes the stream for dead."""


Events: TypeAlias = AsyncGenerator[Said | Ended | None, None]


@csrf_exempt
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    """Answer a chat, streamed or at once."""
    try:
        # The database connection goes back to its pool before the first byte is sent.
        user, asked = await in_thread(partial(_admit, request))
    except Exception as error:
        response = error_response(error)
        if response is None:
            raise
        return response
    chat_id = uuid.uuid4().hex
    events = _generated(chat_id, user, asked) if asked.collection is None else grounded_answer(user=user, asked=asked)
    shape = Shape(chat_id, model=asked.model.id, fingerprint=asked.model.fingerprint, include_usage=asked.include_usage)
    try:
        first = await _first(events)
        if asked.stream:
            return StreamingHttpResponse(
                _stream(shape, first, events),
                content_type="text/event-stream",
                headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
            )
        return await _whole(shape, first, events)
    except Exception as error:
        response = error_response(error)
        if response is None:
            raise
        return response


def _admit(request: HttpRequest) -> tuple[User, ChatAsked]:
    user = bearer_user(request.headers.get("Authorization", ""))
    if user is None:
        raise RequestRefused(
            "a valid API token is needed: Authorization: Bearer TOKEN", code="invalid_api_key", status=401
        )
    if request.method != "POST":
        raise RequestRefused("only POST is allowed here", code="method_not_allowed", status=405)
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"the request is not JSON: {error}", code="invalid_json") from error
    asked = chat_read(body)
    user_throttle(user, "ask")
    return user, asked


async def _generated(chat_id: str, user: User, asked: ChatAsked) -> Events:
    """Let the language model answer, or the vision-language role where there are pictures."""
    async with _sent_pictures(user, asked.pictures) as names:
        call = ChatCall(
            turns=asked.turns,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            seed=asked.seed,
            stop=asked.stop,
            json_schema=asked.json_schema,
            pictures=tuple(names),
            owner=f"user-{user.pk}",
        )
        await begin(partial(chat_start, chat_id, call, deadline_s=CHAT_DEADLINE_S), lambda _: chat_cancel(chat_id))
        try:
            async with contextlib.aclosing(chat_events(chat_id)) as events:
                async for item in events:
                    yield None if item is None else _piece(*item)
        finally:
            # Whoever hangs up here, or before the first event, wants no more of it.
            await in_thread(partial(chat_cancel, chat_id))


def _piece(event: str, data: dict[str, Any]) -> Said | Ended:
    if event == "token":
        return Said(data["text"])
    if event == "done":
        return Ended(**data)
    raise WorkerRefused(data.get("code", "cancelled"), data.get("message", "the request was ended"))


@contextlib.asynccontextmanager
async def _sent_pictures(user: User, pictures: tuple[PictureSource, ...]) -> AsyncIterator[list[str]]:
    if not pictures:
        yield []
        return
    contents = await in_thread(lambda: [picture_bytes(user=user, source=one) for one in pictures])
    with call_files(contents) as names:
        yield names


async def _first(events: Events) -> Said | Ended:
    """Wait for the first piece: until then an error still has its own status."""
    async for item in events:
        if item is not None:
            return item
    raise RuntimeError("a chat ended without a last event")


async def _stream(shape: Shape, first: Said | Ended, events: Events) -> AsyncIterator[bytes]:
    silent = 0
    yield shape.opening()
    try:
        yield _chunk(shape, first)
        async for item in events:
            if item is not None:
                yield _chunk(shape, item)
                continue
            silent += 1
            if silent % WAITING_EVERY == 0:
                yield b": waiting\n\n"
    except Exception as error:
        described = error_described(error)
        if described is None:
            raise
        yield sse(described[1])
    finally:
        await events.aclose()


def _chunk(shape: Shape, item: Said | Ended) -> bytes:
    return shape.ending(item) if isinstance(item, Ended) else shape.piece(item)


async def _whole(shape: Shape, first: Said | Ended, events: Events) -> JsonResponse:
    said: list[Said] = []
    item: Said | Ended | None = first
    try:
        while not isinstance(item, Ended):
            if item is not None:
                said.append(item)
            item = await anext(events)
        return JsonResponse(shape.completion(said, item))
    finally:
        await events.aclose()
