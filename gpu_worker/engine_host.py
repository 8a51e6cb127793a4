"""One process per host that owns its engines: their processes, their queues and their memory.

Workers talk to it over ``<sockets>/engines.sock`` with messages of ``inference.codec``: the method of an engine with
the role, priority and deadline as parameters, or ``attributes``, ``cancel`` and ``status``. It loads no model library
and looks into no item, so that a broken engine never takes it along.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.host import egress, paths
from core.settings.env import env
from core.settings.profile import Profile, RoleConfig, profile
from gpu_worker.engine_child import STREAM_LIMIT_BYTES, EngineChild
from gpu_worker.engine_slot import PRIORITIES, EngineRequest, EngineSlot
from gpu_worker.memory_ledger import MemoryLedger, pss_mib
from gpu_worker.places import engines_socket, model_store
from inference import codec
from inference.codec import Item, Message
from inference.errors import EngineUnavailable, InferenceError, InputRejected
from inference.registry import ROLES
from models_local.errors import ModelsError
from models_local.store import Store

logger = logging.getLogger(__name__)

TICK_S = 5.0
STARVING_S = 10.0
"""A load that waited this long for memory may take an engine between two batches, not only an idle one."""


class EngineHost:
    """Serves the roles of one profile on one unix socket."""

    def __init__(self, profile: Profile, *, socket_path: Path, run_folder: Path, store: Store | None) -> None:
        self._profile = profile
        self._socket_path = socket_path
        self._store = store
        self._ledger = MemoryLedger(profile.memory_budget_mib, run_folder / "engine-peaks.json")
        self._slots = {role: EngineSlot(config, self._child_start) for role, config in profile.roles.items()}
        self._room = asyncio.Lock()
        self._reserved_mib: dict[str, float] = {}
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        """Serve until ``stop``; then end every engine process."""
        self._socket_path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(
            self._client_serve, path=str(self._socket_path), limit=STREAM_LIMIT_BYTES
        )
        self._socket_path.chmod(0o600)
        tasks = [asyncio.create_task(slot.run()) for slot in self._slots.values()]
        tasks.append(asyncio.create_task(self._tick()))
        tasks.append(asyncio.create_task(self._preload()))
        logger.info("engine host serves %s on %s", ", ".join(self._slots), self._socket_path)
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(slot.unload() for slot in self._slots.values()))
        self._socket_path.unlink(missing_ok=True)

    def stop(self) -> None:
        """End ``serve``."""
        self._stop.set()

    def status(self) -> dict[str, Any]:
        """Return what is loaded, how large it is and what waits."""
        engines = [slot.status() | {"pss_mib": round(_pss_of(slot), 1)} for slot in self._slots.values()]
        return {
            "profile": self._profile.name,
            "budget_mib": self._profile.memory_budget_mib,
            "pss_mib": round(sum(engine["pss_mib"] for engine in engines), 1),
            "engines": engines,
        }

    async def _preload(self) -> None:
        for slot in self._slots.values():
            if slot.config.preload:
                try:
                    await slot.load()
                except InferenceError as error:
                    logger.warning("role '%s' cannot be loaded yet: %s", slot.config.role, error)

    async def _child_start(self, config: RoleConfig) -> EngineChild:
        folders = self._folders(config)
        await self._room_make(config)
        try:
            started = time.monotonic()
            child = await EngineChild.start(config, folders)
            measured_mib = pss_mib(child.pid)
            self._ledger.observe(config, measured_mib)
            logger.info(
                "engine '%s' of role '%s' loaded in %.1f s with %.0f MiB",
                config.engine,
                config.role,
                time.monotonic() - started,
                measured_mib,
            )
            return child
        finally:
            self._reserved_mib.pop(config.role, None)

    def _folders(self, config: RoleConfig) -> Sequence[Path]:
        if not config.models:
            return []
        if self._store is None:
            raise EngineUnavailable(
                f"role '{config.role}' needs {', '.join(config.models)} and there is no model store"
            )
        try:
            return [self._store.folder(name) for name in config.models]
        except ModelsError as error:
            raise EngineUnavailable(f"role '{config.role}' cannot be loaded: {error}") from error

    async def _room_make(self, config: RoleConfig) -> None:
        since = time.monotonic()
        while True:
            async with self._room:
                if self._ledger.fits(config, self._loaded_mib()) or not self._loaded():
                    self._reserved_mib[config.role] = self._ledger.expected_mib(config)
                    return
                victim = self._victim(starving=time.monotonic() - since > STARVING_S)
                if victim is not None:
                    await victim.unload()
                    continue
            await asyncio.sleep(0.1)

    def _loaded(self) -> list[EngineSlot]:
        return [slot for slot in self._slots.values() if slot.child is not None and not slot.child.is_dead]

    def _loaded_mib(self) -> float:
        loaded = sum(max(_pss_of(slot), self._ledger.expected_mib(slot.config)) for slot in self._loaded())
        return loaded + sum(self._reserved_mib.values())

    def _victim(self, *, starving: bool) -> EngineSlot | None:
        candidates = [slot for slot in self._loaded() if slot.is_idle or (starving and slot.in_flight == 0)]
        return min(candidates, key=lambda slot: slot.last_used, default=None)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for slot in self._loaded():
                self._ledger.observe(slot.config, _pss_of(slot))
                limit_s = slot.config.idle_unload_s
                if limit_s and slot.is_idle and time.monotonic() - slot.last_used > limit_s:
                    await slot.unload()

    async def _client_serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(self, writer)
        try:
            while (message := await codec.frame_read_async(reader)) is not None:
                client.receive(message)
        except (ConnectionError, codec.CodecError) as error:
            logger.warning("a worker's connection ended: %s", error)
        finally:
            client.gone()
            writer.close()

    def request_submit(self, role: str, request: EngineRequest) -> None:
        """Queue a request of a client."""
        self._slots[role].submit(request)

    async def attributes(self, role: str) -> dict[str, Any]:
        """Return the attributes of a role's engine, loading it where needed."""
        return (await self._slots[role].load()).attributes

    def roles(self) -> list[str]:
        """Return the roles that this host serves."""
        return list(self._slots)


class _Client:
    """One worker's connection: its running requests, and the order of its replies."""

    def __init__(self, host: EngineHost, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._writer = writer
        self._requests: dict[str, EngineRequest] = {}
        self._replies: asyncio.Queue[Message] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send())
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, message: Message) -> None:
        if message.method == "cancel":
            if request := self._requests.get(message.id):
                request.cancel("the caller ended the request")
            return
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def gone(self) -> None:
        for request in self._requests.values():
            request.cancel("the caller is gone")
        self._sender.cancel()

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
            return Message(id=message.id, method=codec.RESULT, parameters=self._host.status())
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


def _pss_of(slot: EngineSlot) -> float:
    return pss_mib(slot.child.pid) if slot.child is not None and not slot.child.is_dead else 0.0


async def _serve() -> None:
    home = env().home_path
    run_folder = paths.home_layout(home).run
    run_folder.mkdir(parents=True, exist_ok=True)
    host = EngineHost(profile(), socket_path=engines_socket(home), run_folder=run_folder, store=model_store())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.stop)
    await host.serve()


def main() -> None:
    """Run the engine host of this machine."""
    egress.install()
    logging.basicConfig(level=env().log_level, format="%(asctime)s engine-host %(levelname)s %(message)s")
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
