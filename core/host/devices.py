"""Which devices this host has for engines: its processors' memory, and the GPUs that NVIDIA's NVML lists."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil
import pynvml  # type: ignore[import-untyped]

logger = logging.getLogger(__name__)

CPU = "cpu"
_MIB = 2**20
_NVIDIA_PCI_VENDOR = "0x10de"
_PCI_DEVICES = Path("/sys/bus/pci/devices")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One place where engines may run.

    Attributes:
        name: ``cpu``, or ``cuda:N`` in NVML's order, which is the order on the PCI bus.
        product: What it is, for people.
        total_mib: All of its memory.
        free_mib: What nobody uses at this moment.
        uuid: NVML's identity of a GPU, under which CUDA_VISIBLE_DEVICES finds it; empty for the CPU.
    """

    name: str
    product: str
    total_mib: int
    free_mib: int
    uuid: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What was found.

    Attributes:
        found: The CPU first.
        driver: Version of NVIDIA's driver; empty where there is none.
        problem: Why GPUs that are there cannot be used; empty where all is well or no GPU is there.
    """

    found: tuple[Device, ...]
    driver: str = ""
    problem: str = ""

    @property
    def gpus(self) -> tuple[Device, ...]:
        """The GPUs alone."""
        return tuple(device for device in self.found if device.name != CPU)

    def device(self, name: str) -> Device | None:
        """Return the device of this name, or None where the host has none."""
        return next((device for device in self.found if device.name == name), None)


class Nvml(Protocol):
    """The part of the ``pynvml`` module that is used here."""

    NVMLError: type[Exception]
    NVMLError_LibraryNotFound: type[Exception]

    def nvmlInit(self) -> None:  # noqa: D102, N802 - NVML's own names
        ...

    def nvmlShutdown(self) -> None:  # noqa: D102, N802
        ...

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: D102, N802
        ...

    def nvmlDeviceGetCount(self) -> int:  # noqa: D102, N802
        ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: D102, N802
        ...

    def nvmlDeviceGetName(self, handle: Any) -> str:  # noqa: D102, N802
        ...

    def nvmlDeviceGetUUID(self, handle: Any) -> str:  # noqa: D102, N802
        ...

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:  # noqa: D102, N802
        ...

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> Sequence[Any]:  # noqa: D102, N802
        ...


def devices_find(nvml: Nvml = pynvml, pci_devices: Path = _PCI_DEVICES) -> Devices:
    """Ask the operating system and NVML; a driver that is there and broken is a problem, none at all is not."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError_LibraryNotFound:
        return Devices(found=(_cpu(),), problem=_card_without_driver(pci_devices))
    except nvml.NVMLError as error:
        return Devices(found=(_cpu(),), problem=f"NVIDIA's driver is installed but does not answer: {error}")
    try:
        driver = nvml.nvmlSystemGetDriverVersion()
        gpus, problem = _gpus(nvml)
        return Devices(found=(_cpu(), *gpus), driver=driver, problem=problem)
    except nvml.NVMLError as error:
        return Devices(found=(_cpu(),), problem=f"NVIDIA's driver answers with an error: {error}")
    finally:
        nvml.nvmlShutdown()


def gpu_processes_mib(device: str, nvml: Nvml = pynvml) -> dict[int, float]:
    """Return the memory of each process on a GPU in MiB, by process id as the driver sees it.

    A container with process ids of its own, and some virtual GPUs, give no figure for a process: it is then missing.
    """
    index = int(device.partition(":")[2])
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        logger.warning("the memory of processes on %s cannot be read: %s", device, error)
        return {}
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByIndex(index))
        return {one.pid: one.usedGpuMemory / _MIB for one in running if one.usedGpuMemory is not None}
    except nvml.NVMLError as error:
        logger.warning("the memory of processes on %s cannot be read: %s", device, error)
        return {}
    finally:
        nvml.nvmlShutdown()


def _gpus(nvml: Nvml) -> tuple[list[Device], str]:
    found, lost = [], []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            found.append(
                Device(
                    name=f"cuda:{index}",
                    product=nvml.nvmlDeviceGetName(handle),
                    total_mib=memory.total // _MIB,
                    free_mib=memory.free // _MIB,
                    uuid=nvml.nvmlDeviceGetUUID(handle),
                )
            )
        except nvml.NVMLError as error:
            # One card that fell off the bus does not take the others along.
            lost.append(f"cuda:{index} does not answer: {error}")
    return found, "; ".join(lost)


def _cpu() -> Device:
    memory = psutil.virtual_memory()
    return Device(
        name=CPU,
        product=f"{psutil.cpu_count(logical=True)} processors",
        total_mib=memory.total // _MIB,
        free_mib=memory.available // _MIB,
    )


def _card_without_driver(pci_devices: Path) -> str:
    for vendor in sorted(pci_devices.glob("*/vendor")):
        kind = vendor.with_name("class")
        # Class 03 is a display controller; NVIDIA also makes network cards.
        if vendor.read_text().strip() == _NVIDIA_PCI_VENDOR and kind.read_text().startswith("0x03"):
            return f"there is an NVIDIA card at {vendor.parent.name}, but its driver's library (NVML) is not installed"
    return ""
