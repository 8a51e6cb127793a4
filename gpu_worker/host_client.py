"""One worker's connection to the engine host: its running requests, its leases, and the order of its replies."""

from __future__ import annotations

import asyncio
import collections
import functools
import logging
from typing import Any, Protocol

from gpu_worker.engine_request import PRIORITIES, EngineRequest, item_units
from inference import codec
from inference.codec import Item, Message
from inference.errors import EngineUnavailable, InferenceError, InputRejected
from inference.registry import ROLES

logger = logging.getLogger(__name__)


class Host(Protocol):
    """What a connection needs of its host."""

    async def status(self) -> dict[str, Any]:
        """Return the host's report."""
        ...

    def brief(self) -> dict[str, Any]:
        """Return the part of the report that costs nothing."""
        ...

    async def attributes(self, role: str) -> dict[str, Any]:
        """Return the attributes of a role's engine."""
        ...

    def roles(self) -> list[str]:
        """Return the roles that the host serves."""
        ...

    def request_submit(self, role: str, request: EngineRequest) -> None:
        """Queue a request."""
        ...

    def lease_count(self, role: str, change: int) -> None:
        """Count a lease of a role."""
        ...


class HostClient:
    """One worker's connection to the engine host."""

    def __init__(self, host: Host, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._writer = writer
        self._requests: dict[str, EngineRequest] = {}
        self._replies: asyncio.Queue[Message] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send())
        self._tasks: set[asyncio.Task[None]] = set()
        self._leases: collections.Counter[str] = collections.Counter()

    def receive(self, message: Message) -> None:
        """Take one message; its reply comes when it is there."""
        if message.method in ("lease", "release"):
            self._lease(str(message.parameters.get("role")), 1 if message.method == "lease" else -1)
            return
        if message.method == "cancel":
            if request := self._requests.get(message.id):
                request.cancel("the caller ended the request")
            return
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def gone(self) -> None:
        """End what the worker had running, and its leases."""
        for request in self._requests.values():
            request.cancel("the caller is gone")
        for role, count in self._leases.items():
            self._host.lease_count(role, -count)
        self._sender.cancel()

    def _lease(self, role: str, change: int) -> None:
        # An unknown role is refused by the call that follows; a notice has no reply.
        if role in self._host.roles():
            self._leases[role] += change
            self._host.lease_count(role, change)

    async def _answer(self, message: Message) -> None:
        try:
            reply = await self._reply(message)
        except InferenceError as error:
            reply = codec.error_reply(message.id, error)
        except Exception as error:  # process boundary: one request must not end the connection of the others
            logger.exception("request %s failed in the host", message.method)
            reply = codec.error_reply(message.id, EngineUnavailable(f"engine host: {type(error).__name__}: {error}"))
        self._replies.put_nowait(reply)

    async def _reply(self, message: Message) -> Message:
        if message.method == "status":
            return Message(id=message.id, method=codec.RESULT, parameters=await self._host.status())
        if message.method == "brief":
            return Message(id=message.id, method=codec.RESULT, parameters=self._host.brief())
        role = message.parameters.get("role")
        if role not in self._host.roles():
            raise InputRejected(f"this host serves no role '{role}'; it serves {', '.join(self._host.roles())}")
        if message.method == "attributes":
            return Message(id=message.id, method=codec.RESULT, parameters=await self._host.attributes(role))
        return Message(id=message.id, method=codec.RESULT, items=await self._run(role, message))

    async def _run(self, role: str, message: Message) -> tuple[Item, ...]:
        request = self._request(role, message)
        self._requests[message.id] = request
        deadline_s = float(message.parameters["deadline_s"])
        try:
            self._host.request_submit(role, request)
            async with asyncio.timeout(deadline_s):
                return await request.done
        except TimeoutError as error:
            request.cancel("the deadline passed")
            raise EngineUnavailable(
                f"role '{role}' gave no answer within {deadline_s:.0f} s; the host is busy, try again"
            ) from error
        finally:
            self._requests.pop(message.id, None)

    def _request(self, role: str, message: Message) -> EngineRequest:
        method = ROLES[role].methods.get(message.method)
        if method is None:
            raise InputRejected(f"role '{role}' has no method '{message.method}'")
        if not message.items or (method.kind != "batch" and len(message.items) != 1):
            raise InputRejected(f"'{message.method}' was called with {len(message.items)} items")
        priority = message.parameters.get("priority")
        if priority not in PRIORITIES:
            raise InputRejected(f"'{priority}' is no priority; known are {', '.join(PRIORITIES)}")
        return EngineRequest(
            method=method,
            items=message.items,
            units=[item_units(role, item) for item in message.items],
            priority=priority,
            on_delta=functools.partial(self._delta, message.id) if method.kind == "stream" else None,
        )

    def _delta(self, request_id: str, item: Item) -> None:
        self._replies.put_nowait(Message(id=request_id, method=codec.DELTA, items=(item,)))

    async def _send(self) -> None:
        try:
            while True:
                await codec.frame_write_async(self._writer, await self._replies.get())
        except ConnectionError as error:
            logger.info("a worker's connection ended while it was answered: %s", error)
