"""The one place of a host that knows what its engines' memory is, and what they will need."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from core.settings.profile import RoleConfig

logger = logging.getLogger(__name__)

UNMEASURED_MIB = 500
"""What an engine is expected to need before it was ever loaded on this host."""


def pss_mib(pid: int) -> float:
    """Return the proportional set size of a process; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


class MemoryLedger:
    """Measured peaks of engines, kept in a file over restarts of the host."""

    def __init__(self, budget_mib: int, peaks_file: Path) -> None:
        self.budget_mib = budget_mib
        self._file = peaks_file
        self._peaks_mib: dict[str, float] = self._peaks_read()

    def expected_mib(self, config: RoleConfig) -> float:
        """Return what an engine of this configuration took at most so far."""
        return self._peaks_mib.get(self._key(config), float(UNMEASURED_MIB))

    def observe(self, config: RoleConfig, measured_mib: float) -> None:
        """Record a measurement; the file is written when the peak rose by more than 2 %."""
        key = self._key(config)
        if measured_mib <= self._peaks_mib.get(key, 0.0) * 1.02:
            return
        self._peaks_mib[key] = round(measured_mib, 1)
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(self._peaks_mib, indent=1, sort_keys=True))
        os.replace(temporary, self._file)  # noqa: PTH105 - the atomic rename is the point

    def fits(self, config: RoleConfig, loaded_mib: float) -> bool:
        """Say whether one more engine stays inside the budget beside what is loaded."""
        return loaded_mib + self.expected_mib(config) <= self.budget_mib

    def _key(self, config: RoleConfig) -> str:
        return f"{config.engine}:{'+'.join(config.models)}:{config.device}:{config.threads}"

    def _peaks_read(self) -> dict[str, float]:
        try:
            return {str(key): float(value) for key, value in json.loads(self._file.read_text()).items()}
        except FileNotFoundError:
            return {}
        except ValueError:
            logger.warning("%s is no JSON; engines are measured anew", self._file)
            return {}
