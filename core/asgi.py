"""The ASGI application: lifespan and /mcp to the MCP server, websockets to Channels, uploads, the rest to Django."""

from core.host import egress

egress.install()

import asyncio  # noqa: E402
from collections.abc import Awaitable, Callable, Mapping, MutableMapping  # noqa: E402
from typing import Any  # noqa: E402

from core.settings.env import environment_default  # noqa: E402

environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")

from django.core.asgi import get_asgi_application  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_django = get_asgi_application()

# After Django is set up: these import models.
from core.api.mcp_server import McpApplication  # noqa: E402
from core.api.tus import PREFIX, tus_application  # noqa: E402
from core.api.websocket_application import websocket_application  # noqa: E402

_mcp = McpApplication()
_websockets = websocket_application()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection, or the server's start and end."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _websockets(scope, receive, send)
    elif scope["path"].rstrip("/") == "/mcp":
        await _mcp(scope, receive, send)
    elif scope["path"] == PREFIX or scope["path"].startswith(f"{PREFIX}/"):
        await tus_application(scope, receive, send)
    else:
        await _django(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    async with _mcp.running():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await asyncio.to_thread(_pools_close)
    await send({"type": "lifespan.shutdown.complete"})


def _pools_close() -> None:
    from django.db import connections

    # The pool belongs to the alias, not to the thread that opened it.
    for connection in connections.all():
        connection.close_pool()  # type: ignore[attr-defined]
