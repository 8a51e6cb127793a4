"""The one place of a host that knows what memory its engines take and will take, and what each device may give."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from core.host.devices import CPU, gpu_processes_mib
from core.host.peaks import Peak, PeakStore, peak_key
from core.settings.profile import RoleConfig
from models_local.catalog import Catalog

UNMEASURED_MIB = 350.0
UNMEASURED_OF_WEIGHTS = 2.5
"""What an engine is expected to need before it was ever measured: a process with its libraries, and the weights while
they are read and converted."""


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessMemory:
    """What a process holds now, and held at most since it began, in MiB of proportional set size."""

    now_mib: float
    peak_mib: float


def process_memory(pid: int) -> ProcessMemory:
    """Measure a process; zeros when it is gone.

    The kernel keeps a peak of the resident set only: as many pages are taken to have been shared then as now.
    """
    try:
        share = _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
        status = Path(f"/proc/{pid}/status")
        resident, highest = _kib(status, "VmRSS:"), _kib(status, "VmHWM:")
    except (FileNotFoundError, ProcessLookupError):
        return ProcessMemory(0.0, 0.0)
    return ProcessMemory(share / 1024, (share + max(0, highest - resident)) / 1024)


def _kib(path: Path, field: str) -> int:
    return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(field)), 0)


class MemoryLedger:
    """Budgets of devices, and the measured peaks of engines."""

    def __init__(self, budgets_mib: Mapping[str, float], peaks: PeakStore, catalog: Catalog | None = None) -> None:
        self.budgets_mib = dict(budgets_mib)
        self._peaks = peaks
        self._catalog = catalog

    def known(self, config: RoleConfig) -> Peak | None:
        """Return what an engine of this configuration took at most so far; None where nobody measured it."""
        return self._peaks.peak(peak_key(config, self._catalog))

    def demand_mib(self, config: RoleConfig) -> dict[str, float]:
        """Return what an engine is expected to take of each device, at most."""
        peak = self.known(config) or self._guess(config)
        demand = {CPU: peak.mib}
        if config.device != CPU:
            # Inside a container the driver may know our processes under other ids and tell nothing of them.
            demand[config.device] = peak.device_mib or self._guess(config).device_mib
        return demand

    def _guess(self, config: RoleConfig) -> Peak:
        weights_bytes = sum(self._catalog.model(name).size_bytes for name in config.models) if self._catalog else 0
        guess_mib = UNMEASURED_MIB + UNMEASURED_OF_WEIGHTS * weights_bytes / 2**20
        return Peak(mib=guess_mib, device_mib=guess_mib)

    def observe(self, config: RoleConfig, pid: int, *, probed: bool = False) -> Peak:
        """Measure an engine's process, keep its peak, and return it."""
        device_mib = gpu_processes_mib(config.device).get(pid, 0.0) if config.device != CPU else 0.0
        measured = Peak(mib=process_memory(pid).peak_mib, device_mib=device_mib, probed=probed)
        self._peaks.observe(peak_key(config, self._catalog), measured)
        return measured

    def excess(self, demand_mib: Mapping[str, float]) -> list[str]:
        """Name each device whose whole budget a demand exceeds, with the numbers."""
        return [
            f"{mib:.0f} MiB of {device}, whose budget is {self.budgets_mib[device]:.0f} MiB"
            for device, mib in demand_mib.items()
            if mib > self.budgets_mib[device]
        ]
