"""Addresses of the WebSockets; ``core.asgi`` puts the check of the origin and the session's user before them."""

from __future__ import annotations

from django.urls import URLPattern

websocket_urlpatterns: list[URLPattern] = []
