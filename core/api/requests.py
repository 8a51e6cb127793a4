"""What all views share: the authenticated user, typed."""

from __future__ import annotations

from typing import cast

from rest_framework.request import Request

from core.access.models import User


def user_of(request: Request) -> User:
    """Return the authenticated user; the default permission let nobody else through."""
    return cast(User, request.user)
