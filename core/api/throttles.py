"""Throttles of what costs most, per user: 429 with Retry-After beyond the settings' limits."""

from __future__ import annotations

from typing import ClassVar, Literal

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from core.access.errors import Throttled
from core.access.models import User
from core.access.throttle import throttle_take
from core.api.requests import user_of
from core.settings.env import env

ThrottleScope = Literal["search", "ask", "upload"]


def user_throttle(user: User, scope: ThrottleScope) -> None:
    """Count one request of a user.

    Raises:
        Throttled: It was one too many.
    """
    limit = {
        "search": env().searches_per_minute,
        "ask": env().questions_per_minute,
        "upload": env().uploads_per_minute,
    }[scope]
    wait_s = throttle_take(scope=scope, who=str(user.pk), per_minute=limit)
    if wait_s:
        raise Throttled(
            f"one user may send {limit} such requests a minute; try again in {wait_s} s", retry_after_s=wait_s
        )


class _UserThrottle(BaseThrottle):
    scope: ClassVar[ThrottleScope]

    def allow_request(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - DRF's signature
        if request.method == "POST":
            user_throttle(user_of(request), self.scope)
        return True


class SearchThrottle(_UserThrottle):
    """Searches."""

    scope = "search"


class AskThrottle(_UserThrottle):
    """Questions, and everything else that makes a language model talk."""

    scope = "ask"


class UploadThrottle(_UserThrottle):
    """New documents."""

    scope = "upload"
