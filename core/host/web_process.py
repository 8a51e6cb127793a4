"""The web server: ``python -m core.host.web_process``; notes its port in ``CLOISTER_HOME/run/port``."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

from core.host import egress
from core.host.paths import home_layout
from core.settings.env import env, environment_default

SHUTDOWN_S = 10


def main() -> None:
    """Bind, note the port, and serve until a signal ends it."""
    egress.install()
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    import uvicorn

    settings = env()
    noted = home_layout(settings.home_path).make().run / "port"
    listening = _bind(settings.host, settings.port or _port_before(noted))
    _note(noted, listening.getsockname()[1])
    server = uvicorn.Server(
        uvicorn.Config(
            "core.asgi:application",
            lifespan="on",
            log_level=settings.log_level.lower(),
            timeout_graceful_shutdown=SHUTDOWN_S,
            server_header=False,
            proxy_headers=False,
        )
    )
    server.run(sockets=[listening])


def _bind(host: str, port: int) -> socket.socket:
    is_v6 = isinstance(ipaddress.ip_address(host), ipaddress.IPv6Address) if host != "localhost" else False
    # With the protocol named, asyncio turns Nagle's algorithm off: else the body of an answer waits for a delayed
    # acknowledgement of its headers, 40 ms on a connection that is kept.
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise SystemExit(
            f"cannot listen on {host} port {port} ({error.strerror}); set CLOISTER_PORT to another"
        ) from error
    return listening


def _port_before(noted: Path) -> int:
    # A restarted server keeps the port that ``up`` told the user.
    try:
        return int(noted.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _note(noted: Path, port: int) -> None:
    draft = noted.with_name(f"port.{os.getpid()}")
    draft.write_text(f"{port}\n")
    draft.replace(noted)


if __name__ == "__main__":
    main()
