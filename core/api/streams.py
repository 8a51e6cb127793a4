"""Server-sent events of an answer: plain async views, since DRF's cannot be async; the same tokens hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from core.access.errors import NotFound
from core.access.models import User
from core.answers.service import answer_get
from core.answers.stream import events_relay
from core.api.errors import error_body


async def answer_events(request: HttpRequest, answer_id: UUID) -> HttpResponseBase:
    """Stream an answer's events; ``Last-Event-ID`` resumes after that event without losing any."""
    user = await sync_to_async(_user)(request)
    if user is None:
        return JsonResponse(error_body("not_authenticated", "a valid token is needed"), status=401)
    try:
        # The database connection goes back to its pool before the first byte is sent.
        answer = await sync_to_async(answer_get)(user=user, answer_id=answer_id)
    except NotFound as error:
        return JsonResponse(error_body(error.code, str(error)), status=404)
    last_event_id = request.headers.get("Last-Event-ID") or "0"
    return StreamingHttpResponse(
        _sse(str(answer.pk), last_event_id),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _sse(answer_id: str, last_event_id: str) -> AsyncIterator[bytes]:
    async for item in events_relay(answer_id, last_event_id):
        if item is None:
            yield b": waiting\n\n"
        else:
            identifier, event, data = item
            yield f"id: {identifier}\nevent: {event}\ndata: {data}\n\n".encode()


def _user(request: HttpRequest) -> User | None:
    header = request.headers.get("Authorization", "")
    if header.startswith("Bearer "):
        try:
            user, _token = TokenAuthentication().authenticate_credentials(header.removeprefix("Bearer ").encode())
        except AuthenticationFailed:
            return None
        return user if isinstance(user, User) else None
    session_user = request.user
    return None if isinstance(session_user, AnonymousUser) else session_user
