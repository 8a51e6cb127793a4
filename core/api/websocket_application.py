"""The ASGI application of all WebSockets: whose pages may open them, and who is asking."""

from __future__ import annotations

from typing import Any
from urllib.parse import ParseResult

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.urls import re_path

from core.api.websockets import websocket_urlpatterns


class BrowserOriginValidator(OriginValidator):  # type: ignore[misc]
    """Refuses pages of other sites; a client that is no browser sends no origin and needs a token all the same."""

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Say whether a connection with this origin may go on."""
        return parsed_origin is None or bool(super().valid_origin(parsed_origin))


def websocket_application() -> Any:
    """Return the application; ``scope["user"]`` is the user of the session, if there is one."""
    elsewhere = re_path(r"", WebsocketDenier.as_asgi())
    routed = AuthMiddlewareStack(URLRouter([*websocket_urlpatterns, elsewhere]))
    return BrowserOriginValidator(routed, settings.ALLOWED_HOSTS)
