"""Who an ``Authorization: Bearer`` header stands for, for connections that DRF does not see."""

from __future__ import annotations

from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from core.access.models import User

SCHEME = "Bearer "


def bearer_user(header: str) -> User | None:
    """Return the user of a header's token; None for any other header, and for a token that is unknown or expired."""
    if not header.startswith(SCHEME):
        return None
    return token_user(header.removeprefix(SCHEME))


def token_user(token: str) -> User | None:
    """Return the active user whose token this is, or None."""
    try:
        user, _token = TokenAuthentication().authenticate_credentials(token.encode())
    except AuthenticationFailed:
        return None
    return user if isinstance(user, User) else None
