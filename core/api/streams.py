"""Server-sent events of answers and jobs: plain async views, since DRF's cannot be async; the same tokens hold."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from core.access.errors import NotFound
from core.access.models import User
from core.answers.models import AnswerState
from core.answers.service import answer_get, answer_json
from core.answers.stream import events_relay
from core.api.bearer import SCHEME, bearer_user
from core.api.errors import error_body
from core.api.jobs import job_told
from core.api.threads import in_thread
from core.jobs.models import JobState

JOB_PERIOD_S: Final = 1.0
JOB_ENDED: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})

IDLE_READS_TO_LOOK: Final = 5
"""Reads of the broker without an event after which the stored answer is looked at: its stream may be gone."""

_EVENT_ID: Final = re.compile(r"\d{1,19}(-\d{1,19})?", re.ASCII)


@require_GET
async def answer_events(request: HttpRequest, answer_id: UUID) -> HttpResponseBase:
    """Stream an answer's events; ``Last-Event-ID`` resumes after that event without losing any."""
    user = await in_thread(partial(_user, request))
    if user is None:
        return _not_authenticated()
    last_event_id = request.headers.get("Last-Event-ID") or "0"
    if not _EVENT_ID.fullmatch(last_event_id):
        problem = "Last-Event-ID: send the id of an event of this stream, or leave it out"
        return JsonResponse(error_body("invalid", problem), status=400)
    try:
        # The database connection is back in its pool before the first byte is sent.
        answer = await in_thread(partial(answer_get, user=user, answer_id=answer_id))
    except NotFound as error:
        return JsonResponse(error_body(error.code, str(error)), status=404)
    ended = answer.state != AnswerState.RUNNING
    return _event_stream(_answer_sse(user, answer_id, last_event_id, ended=ended))


async def _answer_sse(user: User, answer_id: UUID, last_event_id: str, *, ended: bool) -> AsyncIterator[bytes]:
    idle_reads = 0
    async for item in events_relay(str(answer_id), last_event_id):
        if item is not None:
            idle_reads = 0
            yield _event(*item)
            continue
        yield b": waiting\n\n"
        idle_reads += 1
        if ended:
            # Its stream has expired: the stored answer is all there is to tell.
            stored = await in_thread(partial(answer_get, user=user, answer_id=answer_id))
            yield _event("", "error" if stored.state == AnswerState.FAILED else "done", json.dumps(answer_json(stored)))
            return
        if idle_reads % IDLE_READS_TO_LOOK == 0:
            stored = await in_thread(partial(answer_get, user=user, answer_id=answer_id))
            ended = stored.state != AnswerState.RUNNING


@require_GET
async def job_events(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """Stream a job's progress while it changes, until it has ended; ``Last-Event-ID`` leaves out what is known."""
    user = await in_thread(partial(_user, request))
    if user is None:
        return _not_authenticated()
    try:
        told = await in_thread(partial(job_told, user=user, job_id=job_id))
    except NotFound as error:
        return JsonResponse(error_body(error.code, str(error)), status=404)
    return _event_stream(_job_sse(user, job_id, told, request.headers.get("Last-Event-ID", "")))


async def _job_sse(user: User, job_id: UUID, told: dict[str, Any], known: str) -> AsyncIterator[bytes]:
    while True:
        ended = told["state"] in JOB_ENDED
        identifier = f"{told['state']}-{told['done']}-{told['total']}"
        if identifier != known or ended:
            known = identifier
            yield _event(identifier, "done" if ended else "progress", json.dumps(told))
        else:
            yield b": waiting\n\n"
        if ended:
            return
        await asyncio.sleep(JOB_PERIOD_S)
        try:
            told = await in_thread(partial(job_told, user=user, job_id=job_id))
        except NotFound:
            # Erased, or no longer to be seen: the two are not told apart.
            return


def _event(identifier: str, event: str, data: str) -> bytes:
    named = f"id: {identifier}\n" if identifier else ""
    return f"{named}event: {event}\ndata: {data}\n\n".encode()


def _event_stream(events: AsyncIterator[bytes]) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        events,
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


def _not_authenticated() -> JsonResponse:
    refused = JsonResponse(error_body("not_authenticated", "a valid token is needed"), status=401)
    refused["WWW-Authenticate"] = "Bearer"
    return refused


def _user(request: HttpRequest) -> User | None:
    header = request.headers.get("Authorization", "")
    if header.startswith(SCHEME):
        return bearer_user(header)
    session_user = request.user
    return None if isinstance(session_user, AnonymousUser) else session_user
