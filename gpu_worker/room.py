"""Lets engines into the memory of their devices: one decision at a time, by the rules of ``residency``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from core.host.devices import CPU
from gpu_worker.engine_slot import EngineSlot
from gpu_worker.memory_ledger import MemoryLedger
from gpu_worker.residency import Decision, Rules, Tenant, room_decide
from inference.errors import LimitExceeded

POLL_S = 0.05


class Room:
    """The memory of one host's devices, and who is in it."""

    def __init__(self, ledger: MemoryLedger, rules: Rules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._slots: tuple[EngineSlot, ...] = ()
        self._entering: dict[str, EngineSlot] = {}
        self._deciding = asyncio.Lock()

    def watch(self, slots: Iterable[EngineSlot]) -> None:
        """Say once which engines share the memory."""
        self._slots = tuple(slots)

    async def enter(self, slot: EngineSlot) -> None:
        """Wait until the engine fits, ending others where the rules allow it; its room is then reserved.

        Raises:
            LimitExceeded: It can never fit; the message has the numbers.
        """
        since_s = time.monotonic()
        while True:
            async with self._deciding:
                demand_mib = self._demand_mib(slot)
                decisions = {device: self._decide(device, mib, since_s) for device, mib in demand_mib.items()}
                self._refuse_hopeless(slot, demand_mib, decisions)
                if all(decision.verdict == "load" for decision in decisions.values()):
                    self._entering[slot.name] = slot
                    return
                if not any(decision.verdict == "wait" for decision in decisions.values()):
                    await self._end(name for decision in decisions.values() for name in decision.victims)
                    continue
            await asyncio.sleep(POLL_S)

    def entered(self, slot: EngineSlot) -> None:
        """Give up a reservation: the engine is there, or has failed to come."""
        self._entering.pop(slot.name, None)

    async def settle(self) -> None:
        """End idle engines where those that run have grown beyond a budget."""
        async with self._deciding:
            for device in self._ledger.budgets_mib:
                decision = self._decide(device, 0.0, time.monotonic())
                await self._end(decision.victims)

    def tenants(self, device: str) -> list[Tenant]:
        """Return who is on a device, or about to be."""
        now_s = time.monotonic()
        found = [slot for slot in self._slots if slot.is_loaded or slot.name in self._entering]
        return [
            Tenant(
                name=slot.name,
                size_mib=self._ledger.demand_mib(slot.config).get(device, 0.0),
                loaded_s=slot.loaded_s if slot.is_loaded else now_s,
                next_use_s=slot.history.next_use_s(now_s),
                busy=slot.in_flight > 0 or slot.name in self._entering,
                wanted=slot.queue.is_wanted,
                pinned=slot.config.pinned,
            )
            for slot in found
            if device in (CPU, slot.config.device)
        ]

    def _demand_mib(self, slot: EngineSlot) -> dict[str, float]:
        demand_mib = self._ledger.demand_mib(slot.config)
        if self._ledger.known(slot.config) is not None:
            return demand_mib
        # A guess refuses nobody: what was never measured may load where nothing else does.
        return {device: min(mib, self._ledger.budgets_mib[device]) for device, mib in demand_mib.items()}

    def _decide(self, device: str, wanted_mib: float, since_s: float) -> Decision:
        now_s = time.monotonic()
        return room_decide(
            wanted_mib=wanted_mib,
            budget_mib=self._ledger.budgets_mib[device],
            tenants=self.tenants(device),
            now_s=now_s,
            waited_s=now_s - since_s,
            rules=self._rules,
        )

    def _refuse_hopeless(self, slot: EngineSlot, demand_mib: dict[str, float], decisions: dict[str, Decision]) -> None:
        for device, decision in decisions.items():
            if decision.verdict == "never":
                pinned = [tenant for tenant in self.tenants(device) if tenant.pinned]
                raise LimitExceeded(_never(slot, device, demand_mib[device], self._ledger.budgets_mib[device], pinned))

    async def _end(self, names: Iterable[str]) -> None:
        wanted = set(names)
        for slot in self._slots:
            # While another one ended, this one may have begun a batch.
            if slot.name in wanted and slot.in_flight == 0:
                await slot.unload()


def _never(slot: EngineSlot, device: str, wanted_mib: float, budget_mib: float, pinned: Sequence[Tenant]) -> str:
    held = f", of which pinned engines hold {sum(one.size_mib for one in pinned):.0f}" if pinned else ""
    setting = "memory_budget_mib" if device == CPU else "device_budgets_mib"
    return (
        f"engine '{slot.config.engine}' of role '{slot.config.role}' takes {wanted_mib:.0f} MiB of {device} at its "
        f"peak; the budget is {budget_mib:.0f} MiB{held}. Raise {setting} in the profile, lower the role's batch or "
        "context, or choose a smaller model"
    )
