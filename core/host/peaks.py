"""How much memory each engine took at most: measured once, shipped beside the catalog, and kept per CLOISTER_HOME.

An entry belongs to the bytes of the models, the engine with its recipe, and everything that its memory depends on:
device, threads, batch and options such as the context.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import threading
from pathlib import Path

from core.settings.env import REPOSITORY
from core.settings.profile import RoleConfig
from models_local.catalog import Catalog

logger = logging.getLogger(__name__)

SHIPPED = REPOSITORY / "configs" / "peaks.json"
FILE_NAME = "engine-memory.json"
RISE = 1.02
"""The file is written anew when a peak rose by more than this factor."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What an engine took at most.

    Attributes:
        mib: Of main memory: its share of shared pages, all others whole.
        device_mib: Of the GPU's memory; 0 on the CPU.
        probed: Measured with the largest batch that the profile allows, not only with what happened to come.
    """

    mib: float
    device_mib: float = 0.0
    probed: bool = False

    def joined(self, other: Peak) -> Peak:
        """Return the higher of both in every respect."""
        return Peak(
            mib=max(self.mib, other.mib),
            device_mib=max(self.device_mib, other.device_mib),
            probed=self.probed or other.probed,
        )


def peak_key(config: RoleConfig, catalog: Catalog | None) -> str:
    """Return the name under which an engine's peak is stored: readable, and different when its memory may be."""
    digests = [catalog.model(name).digest for name in config.models] if catalog is not None else list(config.models)
    kind = config.device.partition(":")[0]
    exactly = [digests, config.recipe_version, config.options, config.concurrency]
    digest = hashlib.sha256(json.dumps(exactly, sort_keys=True).encode()).hexdigest()[:12]
    models = "+".join(config.models) or "-"
    batch = f"batch {config.max_batch_items} units {config.batch_units}"
    return f"{config.engine} {models} {kind} threads {config.threads} {batch} {digest}"


class PeakStore:
    """The measurements of one host over the shipped ones."""

    def __init__(self, own: Path, shipped: Path = SHIPPED) -> None:
        self._own_file = own
        self._lock = threading.Lock()
        self._shipped = _read(shipped)
        self._own = _read(own)

    def peak(self, key: str) -> Peak | None:
        """Return what is known; a measurement of this host goes before a shipped one."""
        return self._own.get(key) or self._shipped.get(key)

    def observe(self, key: str, measured: Peak) -> None:
        """Note a measurement; the file is written when it says something new."""
        with self._lock:
            known = self.peak(key)
            if known is not None:
                risen = measured.mib > known.mib * RISE or measured.device_mib > known.device_mib * RISE
                if not risen and measured.probed <= known.probed:
                    return
                measured = known.joined(measured)
            self._own[key] = Peak(
                mib=round(measured.mib, 1), device_mib=round(measured.device_mib, 1), probed=measured.probed
            )
            self.write(self._own_file, self._own)

    @staticmethod
    def write(path: Path, peaks: dict[str, Peak]) -> None:
        """Write a file of peaks in one step."""
        temporary = path.with_suffix(".new")
        text = json.dumps({key: dataclasses.asdict(peak) for key, peak in sorted(peaks.items())}, indent=1)
        temporary.write_text(text + "\n")
        os.replace(temporary, path)  # noqa: PTH105 - the atomic rename is the point


def _read(path: Path) -> dict[str, Peak]:
    try:
        return {str(key): Peak(**fields) for key, fields in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        logger.warning("%s is damaged or of another version; engines are measured anew", path)
        return {}
