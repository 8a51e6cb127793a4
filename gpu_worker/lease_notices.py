"""Tells the engine host which roles are leased, over one connection without replies."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from inference import codec
from inference.codec import Message

logger = logging.getLogger(__name__)

SEND_LIMIT_S = 5.0


class LeaseNotices:
    """Counts leases at the host; when the connection ends, the host forgets all that came over it.

    A host that is not there counts nothing: the calls under the lease wait for it themselves.
    """

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None

    @contextlib.contextmanager
    def leased(self, role: str) -> Iterator[None]:
        """Have the role's engine kept for the time of the block."""
        over = self._begin(role)
        try:
            yield
        finally:
            if over is not None:
                self._end(role, over)

    def close(self) -> None:
        """End the connection, and with it every lease."""
        with self._lock:
            self._drop()

    def _begin(self, role: str) -> socket.socket | None:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                self._send("lease", role)
            except OSError as error:
                logger.debug("a lease of '%s' is not counted: %s", role, error)
                self._drop()
            return self._connection

    def _end(self, role: str, over: socket.socket) -> None:
        with self._lock:
            if self._connection is not over:
                # That connection ended, and the host has ended its leases with it.
                return
            try:
                self._send("release", role)
            except OSError as error:
                logger.debug("the connection for leases ended: %s", error)
                self._drop()

    def _open(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(SEND_LIMIT_S)
        try:
            connection.connect(str(self._socket_path))
        except OSError:
            connection.close()
            raise
        return connection

    def _send(self, notice: str, role: str) -> None:
        assert self._connection is not None
        codec.frame_write(self._connection, Message(id="", method=notice, parameters={"role": role}))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
