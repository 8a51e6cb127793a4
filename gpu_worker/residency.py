"""Which engine leaves the memory for which: rules over numbers alone, so that a simulated clock can run them.

The engine that is expected to be used last goes first. What is expected comes from the gaps between uses: where they
are regular (a pipeline that goes round) the next use is one gap after the last one; an engine that was silent for
longer than usual is in a pause, which is expected to go on halfway between its usual pause and the silence so far.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Literal

SAME_EPISODE_S = 1.0
"""Uses closer than this belong together: a batch cut in two is one use."""
GAPS_KEPT = 15
PAUSES_KEPT = 8
REGULAR = 0.25
"""Gaps whose median deviation is below this part of their median are regular."""
OVERDUE = 1.5
"""An engine that was silent for so many usual gaps has come to a pause."""
PAUSE = 4.0
"""Gaps longer than so many usual ones are pauses between episodes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How patient a host is.

    Attributes:
        residency_s: An engine stays at least this long after it was loaded, unless nobody has work for it and somebody
            starves.
        starving_s: A load that waited this long may take an engine between two batches, although work waits for it.
    """

    residency_s: float = 10.0
    starving_s: float = 20.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One loaded engine.

    Attributes:
        size_mib: What it takes, or is expected to take at its peak.
        loaded_s: When it was loaded.
        next_use_s: When it is expected to be used again.
        busy: A batch runs in it at this moment.
        wanted: Requests wait for it, or somebody holds a lease.
        pinned: It never leaves for another.
    """

    name: str
    size_mib: float
    loaded_s: float
    next_use_s: float
    busy: bool = False
    wanted: bool = False
    pinned: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about a load: do it, end the victims first, wait, or refuse it for ever."""

    verdict: Literal["load", "evict", "wait", "never"]
    victims: tuple[str, ...] = ()


def room_decide(
    *, wanted_mib: float, budget_mib: float, tenants: Sequence[Tenant], now_s: float, waited_s: float, rules: Rules
) -> Decision:
    """Decide how an engine of ``wanted_mib`` gets into a budget.

    Args:
        wanted_mib: Its expected peak.
        budget_mib: Of the device, for all engines together.
        tenants: What is loaded or being loaded on the device.
        now_s: The clock that ``loaded_s`` was read from.
        waited_s: How long this load has waited.
        rules: How patient the host is.
    """
    if wanted_mib + sum(tenant.size_mib for tenant in tenants if tenant.pinned) > budget_mib:
        return Decision(verdict="never")
    lacking_mib = wanted_mib + sum(tenant.size_mib for tenant in tenants) - budget_mib
    if lacking_mib <= 0:
        return Decision(verdict="load")
    starving = waited_s >= rules.starving_s
    free_to_go = [tenant for tenant in tenants if _may_go(tenant, now_s=now_s, starving=starving, rules=rules)]
    victims = _victims(free_to_go, lacking_mib)
    if not victims:
        return Decision(verdict="wait")
    return Decision(verdict="evict", victims=tuple(tenant.name for tenant in victims))


def _may_go(tenant: Tenant, *, now_s: float, starving: bool, rules: Rules) -> bool:
    if tenant.pinned or tenant.busy:
        return False
    if starving:
        return True
    return not tenant.wanted and now_s - tenant.loaded_s >= rules.residency_s


def _victims(candidates: Sequence[Tenant], lacking_mib: float) -> list[Tenant]:
    chosen: list[Tenant] = []
    freed_mib = 0.0
    # Of two that nobody wants, the one used later goes first; one with work waiting goes last.
    for tenant in sorted(candidates, key=lambda one: (one.wanted, -one.next_use_s, -one.size_mib)):
        if freed_mib >= lacking_mib:
            break
        chosen.append(tenant)
        freed_mib += tenant.size_mib
    if freed_mib < lacking_mib:
        return []
    # A large one that was chosen last may be enough without those before it.
    for tenant in tuple(chosen):
        if freed_mib - tenant.size_mib >= lacking_mib:
            chosen.remove(tenant)
            freed_mib -= tenant.size_mib
    return chosen


class UseHistory:
    """When an engine was used, and from that when it will be used again."""

    def __init__(self) -> None:
        self.last_used_s = -math.inf
        self._gaps_s: collections.deque[float] = collections.deque(maxlen=GAPS_KEPT)
        self._pauses_s: collections.deque[float] = collections.deque(maxlen=PAUSES_KEPT)

    def used(self, now_s: float) -> None:
        """Note a use; one that follows closely belongs to the same episode."""
        gap_s = now_s - self.last_used_s
        self.last_used_s = max(self.last_used_s, now_s)
        if not SAME_EPISODE_S <= gap_s < math.inf:
            return
        self._gaps_s.append(gap_s)
        if len(self._gaps_s) > 2 and gap_s > PAUSE * statistics.median(self._gaps_s):
            self._pauses_s.append(gap_s)

    def next_use_s(self, now_s: float) -> float:
        """Return when the next use is expected; never before ``now_s``."""
        if self.last_used_s == -math.inf:
            return math.inf
        silent_s = now_s - self.last_used_s
        if len(self._gaps_s) < 2:
            return now_s + silent_s
        usual_s = statistics.median(self._gaps_s)
        if silent_s > OVERDUE * usual_s:
            return now_s + self._pause_s(silent_s)
        scatter_s = statistics.median(abs(gap_s - usual_s) for gap_s in self._gaps_s)
        if scatter_s < REGULAR * usual_s:
            return now_s + max(0.0, usual_s - silent_s)
        return now_s + usual_s

    def _pause_s(self, silent_s: float) -> float:
        if len(self._pauses_s) < 2:
            return silent_s
        return (silent_s + statistics.mean(self._pauses_s)) / 2
