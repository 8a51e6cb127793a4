"""What NVML says becomes devices; what is broken becomes a sentence, and what is not there becomes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from core.host.devices import devices_find, gpu_processes_mib

GIB = 2**30


class NvmlFailed(Exception):
    """Base of the errors, as in the real library."""


class LibraryMissing(NvmlFailed):
    """There is no libnvidia-ml."""


@dataclasses.dataclass
class Memory:
    total: int
    free: int


@dataclasses.dataclass
class Process:
    pid: int
    usedGpuMemory: int | None  # noqa: N815


class FakeNvml:
    """A second NVML with so many cards of 24 GiB; one of them may have fallen off the bus."""

    NVMLError = NvmlFailed
    NVMLError_LibraryNotFound = LibraryMissing

    def __init__(self, cards: int = 0, *, lost: int | None = None, start: NvmlFailed | None = None) -> None:
        self.cards, self.lost, self.start = cards, lost, start
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.start is not None:
            raise self.start
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index == self.lost:
            raise NvmlFailed("GPU is lost")
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return "A card"

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Memory:  # noqa: N802
        return Memory(24 * GIB, 20 * GIB)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        return [Process(11, 3 * GIB), Process(12, None)]


@pytest.fixture
def no_cards(tmp_path: Path) -> Path:
    return tmp_path


class TestDevicesFind:
    def test_lists_the_cpu_and_every_card(self, no_cards: Path) -> None:
        nvml = FakeNvml(2)

        found = devices_find(nvml, no_cards)

        assert [device.name for device in found.found] == ["cpu", "cuda:0", "cuda:1"]
        assert (found.gpus[1].total_mib, found.gpus[1].free_mib) == (24 * 1024, 20 * 1024)
        assert found.gpus[1].uuid == "GPU-1"
        assert (found.driver, found.problem, nvml.open) == ("580.1", "", 0)

    def test_finds_nothing_wrong_where_there_is_no_card(self, no_cards: Path) -> None:
        found = devices_find(FakeNvml(start=LibraryMissing("not found")), no_cards)

        assert [device.name for device in found.found] == ["cpu"]
        assert found.found[0].total_mib > found.found[0].free_mib > 0
        assert not found.problem

    def test_reports_a_driver_that_does_not_answer(self, no_cards: Path) -> None:
        found = devices_find(FakeNvml(start=NvmlFailed("Driver/library version mismatch")), no_cards)

        assert not found.gpus
        assert "version mismatch" in found.problem

    def test_keeps_the_other_cards_when_one_is_lost(self, no_cards: Path) -> None:
        found = devices_find(FakeNvml(3, lost=1), no_cards)

        assert [device.name for device in found.gpus] == ["cuda:0", "cuda:2"]
        assert found.problem == "cuda:1 does not answer: GPU is lost"

    def test_reports_a_card_without_a_driver(self, tmp_path: Path) -> None:
        card = tmp_path / "0000:65:00.0"
        card.mkdir()
        (card / "vendor").write_text("0x10de\n")
        (card / "class").write_text("0x030200\n")

        found = devices_find(FakeNvml(start=LibraryMissing("not found")), tmp_path)

        assert "NVIDIA card at 0000:65:00.0" in found.problem

    def test_asks_the_real_library_of_this_machine_without_an_error(self) -> None:
        assert devices_find().device("cpu") is not None


class TestProcesses:
    def test_have_their_memory_where_the_driver_tells(self) -> None:
        assert gpu_processes_mib("cuda:0", FakeNvml(1)) == {11: 3 * 1024}

    def test_have_none_where_it_does_not(self) -> None:
        assert gpu_processes_mib("cuda:0", FakeNvml(1, lost=0)) == {}
