"""A server in the foreground, started and stopped by this process: for set-up and tests; the rest is supervisord's."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core.settings.env import child_environment


class ServerFailed(Exception):
    """A server did not start, did not answer in time, or did not end."""


class ForegroundServer:
    """One child process with its log file."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while the server runs."""
        return self._child.pid if self._child is not None and self.running else None

    @property
    def started(self) -> bool:
        """Whether this object has a child, alive or not."""
        return self._child is not None

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._child is not None and self._child.poll() is None

    def spawn(self, command: Sequence[str]) -> None:
        """Start the server; it appends to its log file."""
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(),
            )

    def end(self, how: signal.Signals, timeout_s: float = 30.0) -> None:
        """Send a signal and wait for the end; kill what is still there after ``timeout_s``."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(how)
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(timeout_s)
        self._child = None

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of the log, for messages."""
        if not self._log.is_file():
            return "(no log)"
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])


def wait_until(ready: Callable[[], bool], *, timeout_s: float, what: str, poll_s: float = 0.05) -> float:
    """Wait for a state and return the seconds it took.

    Raises:
        ServerFailed: It did not come within ``timeout_s``.
    """
    begun = time.monotonic()
    while not ready():
        if time.monotonic() - begun > timeout_s:
            raise ServerFailed(f"{what} did not come within {timeout_s:.0f} s")
        time.sleep(poll_s)
    return time.monotonic() - begun
