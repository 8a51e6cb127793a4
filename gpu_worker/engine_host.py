"""One process per host that owns its engines: their processes, their queues and their memory.

Workers talk to it over ``<sockets>/engines.sock`` with messages of ``inference.codec``: the method of an engine with
the role, priority and deadline as parameters, or ``attributes``, ``cancel`` and ``status``. It loads no model library
and looks into no item, so that a broken engine never takes it along.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.host import egress, paths
from core.host.devices import CPU, Devices, devices_find
from core.host.peaks import FILE_NAME as PEAKS_FILE
from core.host.peaks import SHIPPED, PeakStore
from core.settings.env import env
from core.settings.profile import Profile, RoleConfig, profile
from gpu_worker.engine_child import STREAM_LIMIT_BYTES, EngineChild
from gpu_worker.engine_request import EngineRequest
from gpu_worker.engine_slot import EngineSlot
from gpu_worker.host_client import HostClient
from gpu_worker.memory_ledger import MemoryLedger, ProcessMemory, process_memory
from gpu_worker.places import engines_socket, model_store
from gpu_worker.residency import Rules
from gpu_worker.role_queue import RoleQueue
from gpu_worker.room import Room
from inference import codec
from inference.errors import EngineUnavailable, InferenceError, LimitExceeded, OutOfMemory
from models_local.errors import ModelsError
from models_local.store import Store

logger = logging.getLogger(__name__)

TICK_S = 5.0
STARVING_S = 20.0
"""A load that waited this long for memory may take an engine between two batches, not only one that nobody wants."""


class EngineHost:
    """Serves the roles of one profile on one unix socket."""

    def __init__(
        self,
        profile: Profile,
        *,
        socket_path: Path,
        run_folder: Path,
        store: Store | None,
        shipped_peaks: Path = SHIPPED,
    ) -> None:
        self._profile = profile
        self._socket_path = socket_path
        self._store = store
        peaks = PeakStore(run_folder / PEAKS_FILE, shipped_peaks)
        self._ledger = MemoryLedger(profile.budgets_mib(), peaks, store.catalog if store is not None else None)
        self._room = Room(self._ledger, Rules(residency_s=profile.residency_s, starving_s=STARVING_S))
        self._queues = {role: RoleQueue(config) for role, config in profile.roles.items()}
        self._slots = tuple(
            EngineSlot(place, self._queues[config.role], self._child_start, copy=copy)
            for config in profile.roles.values()
            for copy, place in enumerate(config.places())
        )
        for slot in self._slots:
            slot.siblings = tuple(one for one in self._slots if one.queue is slot.queue and one is not slot)
        self._room.watch(self._slots)
        self._preloading: set[str] = {slot.name for slot in self._slots if slot.config.preload}
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        """Serve until ``stop``; then end every engine process."""
        self._socket_path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(
            self._client_serve, path=str(self._socket_path), limit=STREAM_LIMIT_BYTES
        )
        self._socket_path.chmod(0o600)
        tasks = [asyncio.create_task(slot.run()) for slot in self._slots]
        tasks.append(asyncio.create_task(self._tick()))
        tasks.append(asyncio.create_task(self._preload()))
        logger.info("engine host serves %s on %s", ", ".join(self._queues), self._socket_path)
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(slot.unload() for slot in self._slots))
        self._socket_path.unlink(missing_ok=True)

    def stop(self) -> None:
        """End ``serve``."""
        self._stop.set()

    async def status(self) -> dict[str, Any]:
        """Return what is loaded, how large it is and what waits; ``ready`` once all that is preloaded can work."""
        engines = []
        for slot in self._slots:
            memory = await asyncio.to_thread(_memory_of, slot)
            peak = self._ledger.known(slot.config)
            engines.append(
                slot.status()
                | {
                    "pss_mib": round(memory.now_mib, 1),
                    "peak_mib": round(peak.mib, 1) if peak else None,
                    "peak_device_mib": round(peak.device_mib, 1) if peak else None,
                }
            )
        return {
            "profile": self._profile.name,
            "ready": not self._preloading,
            "loading": sorted(self._preloading),
            "budget_mib": self._profile.memory_budget_mib,
            "pss_mib": round(sum(engine["pss_mib"] for engine in engines), 1),
            "devices": self._devices(await asyncio.to_thread(devices_find)),
            "engines": engines,
        }

    def brief(self) -> dict[str, Any]:
        """Return the part of ``status`` that costs nothing: what is loaded, and whether all preloaded engines are."""
        fields = ("role", "device", "engine", "models", "state", "error")
        return {
            "ready": not self._preloading,
            "engines": [{name: slot.status()[name] for name in fields} for slot in self._slots],
        }

    def _devices(self, found: Devices) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "product": device.product if device is not None else "not found",
                "total_mib": device.total_mib if device is not None else 0,
                "free_mib": device.free_mib if device is not None else 0,
                "budget_mib": budget_mib,
                "expected_mib": round(sum(tenant.size_mib for tenant in self._room.tenants(name)), 1),
            }
            for name, budget_mib in self._ledger.budgets_mib.items()
            for device in (found.device(name),)
        ]

    async def _preload(self) -> None:
        for slot in self._slots:
            if slot.config.preload:
                try:
                    await slot.load()
                except InferenceError as error:
                    logger.warning("role '%s' cannot be loaded yet: %s", slot.config.role, error)
                self._preloading.discard(slot.name)

    async def _child_start(self, slot: EngineSlot) -> EngineChild:
        config = slot.config
        folders = self._folders(config)
        await self._room.enter(slot)
        try:
            child = await EngineChild.start(config, folders, device_uuid=self._device_uuid(config))
            try:
                await self._measure(config, child)
            except BaseException:
                await child.end()
                raise
            return child
        finally:
            self._room.entered(slot)

    async def _measure(self, config: RoleConfig, child: EngineChild) -> None:
        known = self._ledger.known(config)
        if config.models and (known is None or not known.probed):
            await self._probe(config, child)
        measured = await asyncio.to_thread(self._ledger.observe, config, child.pid)
        logger.info(
            "engine '%s' of role '%s' is ready after %.1f s with at most %.0f MiB so far",
            config.engine,
            config.role,
            child.load_s,
            measured.mib,
        )
        if excess := self._ledger.excess(self._ledger.demand_mib(config)):
            raise LimitExceeded(
                f"engine '{config.engine}' of role '{config.role}' was measured with {' and '.join(excess)}; raise the "
                "budget in the profile, lower the role's batch or context, or choose a smaller model"
            )

    async def _probe(self, config: RoleConfig, child: EngineChild) -> None:
        try:
            await child.probe()
        except OutOfMemory as error:
            logger.warning("the largest batch of role '%s' does not fit, smaller ones will run: %s", config.role, error)
        except InferenceError as error:
            logger.warning("role '%s' could not be measured, it is watched instead: %s", config.role, error)
            return
        await asyncio.to_thread(self._ledger.observe, config, child.pid, probed=True)

    def _device_uuid(self, config: RoleConfig) -> str:
        if config.device == CPU:
            return ""
        devices = devices_find()
        device = devices.device(config.device)
        if device is None:
            raise EngineUnavailable(
                f"role '{config.role}' needs {config.device}, which this host does not have"
                f"{f': {devices.problem}' if devices.problem else ''}; choose another profile (CLOISTER_PROFILE)"
            )
        wanted_mib = self._ledger.demand_mib(config)[config.device]
        if device.free_mib < wanted_mib:
            raise EngineUnavailable(
                f"role '{config.role}' takes {wanted_mib:.0f} MiB of {config.device}, of which {device.free_mib} MiB "
                f"are free: another program uses it"
            )
        return device.uuid

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

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for slot in self._slots:
                if slot.child is not None and slot.is_loaded:
                    await asyncio.to_thread(self._ledger.observe, slot.config, slot.child.pid)
                limit_s = slot.config.idle_unload_s
                if limit_s and slot.is_loaded and slot.is_idle and time.monotonic() - slot.last_used > limit_s:
                    await slot.unload()
            await self._room.settle()

    async def _client_serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = HostClient(self, writer)
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
        self._queues[role].submit(request)

    def lease_count(self, role: str, change: int) -> None:
        """Note that a lease of a role begins (1) or ends (-1): a leased engine is not ended for another in peace."""
        self._queues[role].leases += change

    async def attributes(self, role: str) -> dict[str, Any]:
        """Return the attributes of a role's engine, loading it where needed."""
        of_role = [slot for slot in self._slots if slot.config.role == role]
        slot = next((slot for slot in of_role if slot.is_loaded), of_role[0])
        return (await slot.load()).attributes

    def roles(self) -> list[str]:
        """Return the roles that this host serves."""
        return list(self._queues)


def _memory_of(slot: EngineSlot) -> ProcessMemory:
    child = slot.child
    return process_memory(child.pid) if child is not None and not child.is_dead else ProcessMemory(0.0, 0.0)


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
