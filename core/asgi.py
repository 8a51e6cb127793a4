"""The ASGI application: lifespan here, everything else to Django."""

from core.host import egress

egress.install()

from collections.abc import Awaitable, Callable, Mapping  # noqa: E402
from typing import Any  # noqa: E402

from core.settings.env import environment_default  # noqa: E402

environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")

from django.core.asgi import get_asgi_application  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_django = get_asgi_application()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection, or the server's start and end."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _django(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            _pools_close()
            return


def _pools_close() -> None:
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
