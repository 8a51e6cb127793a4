"""Leases engines of this host to pipelines: typed proxies that speak to the engine host.

Thread-safe: every call takes an idle connection or opens one. A call waits for the engine host to come up, but never
beyond its deadline.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import itertools
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from gpu_worker.engine_proxies import PROXIES, Proxy
from gpu_worker.lease_notices import LeaseNotices
from inference import codec, protocols
from inference.codec import Message
from inference.errors import EngineUnavailable, InferenceError
from inference.values import Vectors

Priority = Literal["interactive", "bulk"]

DEADLINE_S = 900.0
CONNECT_PAUSE_S = 0.1
GRACE_S = 5.0
"""How much longer than the deadline the socket waits, so that the host's own sentence arrives."""
IDLE_CONNECTIONS = 16
STOPPED_POLL_S = 0.25
"""How often a waiting stream asks whether it is still wanted."""


class EnginePool:
    """A door to the engine host at one socket."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._idle: collections.deque[socket.socket] = collections.deque()
        self._lock = threading.Lock()
        self._serial = itertools.count(1)
        self._notices = LeaseNotices(socket_path)
        self._before_call: Callable[[], None] | None = None

    def guarded(self, before_call: Callable[[], None]) -> EnginePool:
        """Return the same door with a check before each batch; it raises when the work is no longer wanted."""
        door = copy.copy(self)
        door._before_call = before_call
        return door

    @overload
    def lease(
        self, *, role: Literal["text", "text_next"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.TextEmbedder]: ...
    @overload
    def lease(
        self, *, role: Literal["image_text", "image_text_next"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.ImageTextEmbedder]: ...
    @overload
    def lease(
        self, *, role: Literal["speech", "captions"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.SpeechRecognizer]: ...
    @overload
    def lease(
        self, *, role: Literal["speaker"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.SpeakerEncoder]: ...
    @overload
    def lease(
        self, *, role: Literal["ocr"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.TextRecognizer]: ...
    @overload
    def lease(
        self, *, role: Literal["layout"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.LayoutDetector]: ...
    @overload
    def lease(
        self, *, role: Literal["vision"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.VisionDescriber]: ...
    @overload
    def lease(
        self, *, role: Literal["reranker"], priority: Priority = ..., deadline_s: float = ...
    ) -> contextlib.AbstractContextManager[protocols.Reranker]: ...
    @overload
    def lease(
        self,
        *,
        role: Literal["language"],
        priority: Priority = ...,
        deadline_s: float = ...,
        stopped: Callable[[], bool] | None = ...,
    ) -> contextlib.AbstractContextManager[protocols.LanguageModel]: ...

    def lease(
        self,
        *,
        role: str,
        priority: Priority = "bulk",
        deadline_s: float = DEADLINE_S,
        stopped: Callable[[], bool] | None = None,
    ) -> contextlib.AbstractContextManager[Any]:
        """Give a proxy of the role's engine.

        Args:
            role: Name of a role that the host's profile serves.
            priority: Which of the engine's queues the calls wait in.
            deadline_s: How long each call may take, waiting and loading included; then EngineUnavailable.
            stopped: Asked while a stream is waited for, also before its first piece; once true, the stream is
                cancelled in the engine and ends.
        """
        return self._leased(role, PROXIES[role](_Door(self, role, priority, deadline_s, stopped)))

    @contextlib.contextmanager
    def _leased(self, role: str, proxy: Proxy) -> Iterator[Proxy]:
        with self._notices.leased(role):
            yield proxy

    def status(self, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """Return the host's loaded engines, memory, queues and batch sizes."""
        with self._connection(timeout_s) as connection:
            return self._exchange(connection, Message(id=self._id(), method="status")).parameters

    def brief(self, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """Return which engines are loaded and whether the host is ready, without measuring anything."""
        with self._connection(timeout_s) as connection:
            return self._exchange(connection, Message(id=self._id(), method="brief")).parameters

    def call(self, *, role: str, priority: Priority, deadline_s: float, method: str, items: Sequence[Any]) -> list[Any]:
        """Run one batch and return one result per item.

        Raises:
            EngineUnavailable: The host or the engine is gone, or the deadline passed.
            InferenceError: What the engine raised.
        """
        if self._before_call is not None:
            self._before_call()
        request = Message(
            id=self._id(),
            method=method,
            parameters={"role": role, "priority": priority, "deadline_s": deadline_s},
            items=tuple(codec.item_encode(item) for item in items),
        )
        with self._connection(deadline_s) as connection:
            return self._exchange(connection, request).values()

    def attributes(self, *, role: str, deadline_s: float) -> dict[str, Any]:
        """Return the plain attributes of a role's engine, loading it where needed."""
        request = Message(id=self._id(), method="attributes", parameters={"role": role})
        with self._connection(deadline_s) as connection:
            return self._exchange(connection, request).parameters

    def stream(
        self,
        *,
        role: str,
        priority: Priority,
        deadline_s: float,
        method: str,
        item: Any,
        stopped: Callable[[], bool] | None = None,
    ) -> Iterator[Any]:
        """Run one stream; closing the iterator, or ``stopped``, cancels it in the engine."""
        request = Message(
            id=self._id(),
            method=method,
            parameters={"role": role, "priority": priority, "deadline_s": deadline_s},
            items=(codec.item_encode(item),),
        )
        with self._connection(deadline_s) as connection:
            codec.frame_write(connection, request)
            try:
                reply = self._receive_wanted(connection, stopped)
                while reply is not None and reply.method == codec.DELTA:
                    yield codec.item_decode(reply.items[0])
                    reply = self._receive_wanted(connection, stopped)
            except GeneratorExit:
                self._cancel(connection, request.id)
                raise
            if reply is None:
                self._cancel(connection, request.id)
            else:
                reply.values()

    def close(self) -> None:
        """Close the idle connections; the leases that are held are no longer counted."""
        self._notices.close()
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _id(self) -> str:
        return str(next(self._serial))

    def _cancel(self, connection: socket.socket, request_id: str) -> None:
        try:
            codec.frame_write(connection, Message(id=request_id, method="cancel"))
            while self._receive(connection).method == codec.DELTA:
                pass
        except OSError:
            # A host that is gone has ended the stream as well; a closed connection is not taken again.
            connection.close()

    def _exchange(self, connection: socket.socket, request: Message) -> Message:
        codec.frame_write(connection, request)
        reply = self._receive(connection)
        if reply.error is not None:
            raise reply.error.as_exception()
        return reply

    def _receive_wanted(self, connection: socket.socket, stopped: Callable[[], bool] | None) -> Message | None:
        """Wait for the next message; None as soon as nobody wants it any more."""
        if stopped is None:
            return self._receive(connection)
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        give_up = time.monotonic() + (connection.gettimeout() or DEADLINE_S)
        while time.monotonic() < give_up:
            if stopped():
                return None
            if poll.poll(STOPPED_POLL_S * 1000):
                return self._receive(connection)
        raise TimeoutError

    def _receive(self, connection: socket.socket) -> Message:
        reply = codec.frame_read(connection)
        if reply is None:
            raise ConnectionResetError("the engine host closed the connection")
        return reply

    @contextlib.contextmanager
    def _connection(self, deadline_s: float) -> Iterator[socket.socket]:
        connection = self._take(deadline_s)
        usable = False
        try:
            connection.settimeout(deadline_s + GRACE_S)
            yield connection
            usable = True
        except TimeoutError as error:
            raise EngineUnavailable(f"the engine host gave no answer within {deadline_s:.0f} s; try again") from error
        except OSError as error:
            raise EngineUnavailable(f"the engine host went away ({error}); it is started again, try again") from error
        except (GeneratorExit, InferenceError):
            # An answered error and a cancelled stream leave the connection between two frames.
            usable = True
            raise
        finally:
            self._give_back(connection, usable=usable)

    def _take(self, deadline_s: float) -> socket.socket:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if _is_open(connection):
                    return connection
                connection.close()
        return self._open(deadline_s)

    def _open(self, deadline_s: float) -> socket.socket:
        give_up = time.monotonic() + deadline_s
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self._socket_path))
            except (FileNotFoundError, ConnectionRefusedError) as error:
                connection.close()
                if time.monotonic() > give_up:
                    raise EngineUnavailable(
                        f"no engine host listens on {self._socket_path}; look at './cloister status'"
                    ) from error
                time.sleep(CONNECT_PAUSE_S)
            else:
                return connection

    def _give_back(self, connection: socket.socket, *, usable: bool) -> None:
        with self._lock:
            if usable and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()


def _is_open(connection: socket.socket) -> bool:
    try:
        connection.setblocking(False)  # noqa: FBT003 - the socket's own signature
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    # Either the end of the connection, or a reply that nobody waits for.
    return False


class _Door:
    """One lease: what the proxies of one role call through."""

    def __init__(
        self,
        pool: EnginePool,
        role: str,
        priority: Priority,
        deadline_s: float,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        self._pool = pool
        self._role = role
        self._priority = priority
        self._deadline_s = deadline_s
        self._stopped = stopped

    def batch(self, method: str, items: Sequence[Any]) -> list[Any]:
        return self._pool.call(
            role=self._role, priority=self._priority, deadline_s=self._deadline_s, method=method, items=list(items)
        )

    def rows(self, method: str, items: Sequence[Any]) -> Vectors:
        return np.stack(self.batch(method, items)).astype(np.float32, copy=False)

    def stream(self, method: str, item: Any) -> Iterator[Any]:
        return self._pool.stream(
            role=self._role,
            priority=self._priority,
            deadline_s=self._deadline_s,
            method=method,
            item=item,
            stopped=self._stopped,
        )

    def attribute(self, name: str) -> Any:
        return self._pool.attributes(role=self._role, deadline_s=self._deadline_s)[name]
