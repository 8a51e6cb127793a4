"""Addresses of the WebSockets; ``core.asgi`` puts the check of the origin and the session's user before them."""

from __future__ import annotations

from django.urls import URLPattern, path

from core.api.captions import CaptionsConsumer

websocket_urlpatterns: list[URLPattern] = [path("api/captions", CaptionsConsumer.as_asgi())]
