"""One process with one loaded engine, answering the engine host over an inherited socket.

Started as ``python -m gpu_worker.engine_process --role R --fd N``. The first message is ``load``; its reply carries the
engine's attributes, sent when the engine has done a first small piece of work. Then requests run on as many threads as
the role's ``concurrency``, so that a ``cancel`` is read
while a stream is being written. The process ends when the host closes the socket.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from core.host import egress
from gpu_worker.trial_work import probe, warm_up
from inference import codec
from inference.codec import Message
from inference.errors import EngineBroken, EngineUnavailable, InferenceError, OutOfMemory
from inference.registry import ROLES, engine_load

logger = logging.getLogger(__name__)


class EngineServer:
    """Answers the messages of one connection with one engine."""

    def __init__(self, role: str, connection: socket.socket) -> None:
        self._role = ROLES[role]
        self._connection = connection
        self._write_lock = threading.Lock()
        self._cancelled: dict[str, threading.Event] = {}
        self._engine: Any = None

    def serve(self) -> None:
        """Load the engine as the first message says, then answer until the host closes the connection."""
        first = codec.frame_read(self._connection)
        if first is None:
            return
        self._send(self._guarded(first, lambda: self._load(first)))
        if self._engine is None:
            return
        threads = ThreadPoolExecutor(max_workers=int(first.parameters["concurrency"]))
        while (request := codec.frame_read(self._connection)) is not None:
            if request.method == "cancel":
                if event := self._cancelled.get(request.id):
                    event.set()
                continue
            self._cancelled[request.id] = threading.Event()
            threads.submit(self._answer, request)

    def _load(self, request: Message) -> Message:
        wanted = request.parameters
        begun_s = time.monotonic()
        engine = engine_load(
            wanted["engine"],
            [Path(folder) for folder in wanted["folders"]],
            threads=wanted["threads"],
            device=wanted["device"],
            options=wanted["options"],
        )
        attributes = {name: getattr(engine, name) for name in self._role.attributes}
        expected = wanted["recipe_version"]
        if expected and attributes["recipe_version"] != expected:
            raise EngineUnavailable(
                f"engine '{wanted['engine']}' follows recipe {attributes['recipe_version']}, not {expected}; "
                "correct recipe_version in the profile and build the new embedding space"
            )
        loaded_s = time.monotonic()
        warm_up(self._role, engine)
        logger.info("loaded in %.1f s, warm after %.1f s more", loaded_s - begun_s, time.monotonic() - loaded_s)
        self._engine = engine
        return Message(id=request.id, method=codec.RESULT, parameters={"attributes": attributes})

    def _answer(self, request: Message) -> None:
        try:
            self._send(self._guarded(request, lambda: self._call(request)))
        except OSError:
            logger.info("the engine host closed the connection before the answer to %s", request.method)
        finally:
            self._cancelled.pop(request.id, None)

    def _guarded(self, request: Message, work: Callable[[], Message]) -> Message:
        try:
            return work()
        except InferenceError as error:
            return codec.error_reply(request.id, error)
        except MemoryError as error:
            return codec.error_reply(request.id, OutOfMemory(f"{request.method}: {error or 'out of memory'}"))
        except Exception as error:  # process boundary: whatever a library throws is translated
            logger.exception("%s failed", request.method)
            return codec.error_reply(request.id, EngineBroken(f"{request.method}: {type(error).__name__}: {error}"))

    def _call(self, request: Message) -> Message:
        if request.method == "probe":
            probe(self._role, self._engine, **request.parameters)
            return Message(id=request.id, method=codec.RESULT)
        method = self._role.methods[request.method]
        function = getattr(self._engine, method.name)
        match method.kind:
            case "batch":
                results = self._batch(function, request.values())
            case "single":
                results = [function(*request.values())]
            case "stream":
                self._stream(function, request)
                results = []
        return Message(
            id=request.id,
            method=codec.RESULT,
            # The engine's own count of what it was given in one call, for the host's histogram.
            parameters={"batch_items": len(results)},
            items=tuple(codec.item_encode(value) for value in results),
        )

    def _batch(self, function: Callable[[Sequence[Any]], Sequence[Any]], items: list[Any]) -> Sequence[Any]:
        results = function(items)
        if len(results) != len(items):
            raise EngineBroken(f"the engine gave {len(results)} results for {len(items)} items")
        return results

    def _stream(self, function: Callable[..., Any], request: Message) -> None:
        cancelled = self._cancelled[request.id]
        pieces = function(*request.values())
        try:
            for piece in pieces:
                if cancelled.is_set():
                    break
                self._send(Message(id=request.id, method=codec.DELTA, items=(codec.item_encode(piece),)))
        finally:
            pieces.close()

    def _send(self, message: Message) -> None:
        with self._write_lock:
            codec.frame_write(self._connection, message)


def main() -> None:
    """Run one engine until the host closes the socket."""
    egress.install()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--role", required=True, choices=sorted(ROLES))
    arguments.add_argument("--fd", required=True, type=int)
    arguments.add_argument("--nice", type=int, default=0)
    chosen = arguments.parse_args()
    logging.basicConfig(level="INFO", format=f"%(asctime)s engine {chosen.role} %(levelname)s %(message)s")
    # It would write a line for each call inside the process.
    logging.getLogger("httpx").setLevel("WARNING")
    os.nice(chosen.nice)
    with socket.socket(fileno=chosen.fd) as connection:
        try:
            EngineServer(chosen.role, connection).serve()
        except OSError:
            logger.info("the engine host is gone")
    # A native call on another thread may run for minutes; the host has closed the connection, so nobody waits for it.
    os._exit(0)


if __name__ == "__main__":
    main()
