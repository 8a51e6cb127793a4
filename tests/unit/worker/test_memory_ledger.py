"""Measured peaks decide what fits, outlive the host, and belong to exactly what they were measured with."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

from core.host.peaks import Peak, PeakStore, peak_key
from core.settings.env import REPOSITORY
from core.settings.profile import RoleConfig
from gpu_worker.memory_ledger import UNMEASURED_MIB, MemoryLedger, process_memory
from models_local.catalog import catalog_read

SPEECH = RoleConfig(role="speech", engine="faster_whisper", models=("whisper-base",))
ON_GPU = dataclasses.replace(SPEECH, device="cuda:1")
CATALOG = catalog_read(REPOSITORY / "configs" / "models.toml")


def store(folder: Path) -> PeakStore:
    return PeakStore(folder / "own.json", folder / "shipped.json")


class TestPeakStore:
    def test_keeps_the_highest_measurement_also_after_a_restart(self, tmp_path: Path) -> None:
        key = peak_key(SPEECH, CATALOG)

        for mib in (300.0, 420.0, 350.0):
            store(tmp_path).observe(key, Peak(mib=mib))

        assert store(tmp_path).peak(key) == Peak(mib=420.0)

    def test_a_measurement_of_the_host_goes_before_a_shipped_one_and_is_never_below_it(self, tmp_path: Path) -> None:
        key = peak_key(SPEECH, CATALOG)
        PeakStore.write(tmp_path / "shipped.json", {key: Peak(mib=900.0, probed=True)})

        found = store(tmp_path)
        found.observe(key, Peak(mib=500.0))
        lower = found.peak(key)
        found.observe(key, Peak(mib=1000.0))

        assert lower == Peak(mib=900.0, probed=True)
        assert store(tmp_path).peak(key) == Peak(mib=1000.0, probed=True)

    def test_begins_anew_when_its_file_is_damaged(self, tmp_path: Path) -> None:
        (tmp_path / "own.json").write_text("{half")

        assert store(tmp_path).peak(peak_key(SPEECH, CATALOG)) is None

    def test_tells_apart_what_changes_the_memory_of_an_engine(self) -> None:
        variants = [
            SPEECH,
            ON_GPU,
            dataclasses.replace(SPEECH, models=("whisper-tiny-en",)),
            dataclasses.replace(SPEECH, max_batch_items=1),
            dataclasses.replace(SPEECH, options={"context_tokens": 4096}),
            dataclasses.replace(SPEECH, threads=7),
        ]

        assert len({peak_key(variant, CATALOG) for variant in variants}) == len(variants)
        assert peak_key(ON_GPU, CATALOG) == peak_key(dataclasses.replace(SPEECH, device="cuda:5"), CATALOG)


class TestLedger:
    def test_expects_a_guess_until_an_engine_was_measured(self, tmp_path: Path) -> None:
        peaks = store(tmp_path)
        ledger = MemoryLedger({"cpu": 1000}, peaks, CATALOG)

        before = ledger.demand_mib(SPEECH)
        peaks.observe(peak_key(SPEECH, CATALOG), Peak(mib=420.0))

        weights_mib = CATALOG.model("whisper-base").size_bytes / 2**20
        assert before["cpu"] > UNMEASURED_MIB + weights_mib
        assert ledger.demand_mib(SPEECH) == {"cpu": 420.0}

    def test_asks_for_both_memories_of_an_engine_on_a_gpu(self, tmp_path: Path) -> None:
        peaks = store(tmp_path)
        ledger = MemoryLedger({"cpu": 1000, "cuda:1": 700}, peaks, CATALOG)
        peaks.observe(peak_key(ON_GPU, CATALOG), Peak(mib=600.0, device_mib=800.0))

        demand_mib = ledger.demand_mib(ON_GPU)

        assert demand_mib == {"cpu": 600.0, "cuda:1": 800.0}
        assert ledger.excess(demand_mib) == ["800 MiB of cuda:1, whose budget is 700 MiB"]

    def test_guesses_the_memory_of_a_gpu_of_which_the_driver_tells_nothing(self, tmp_path: Path) -> None:
        peaks = store(tmp_path)
        ledger = MemoryLedger({"cpu": 1000, "cuda:1": 700}, peaks, CATALOG)
        peaks.observe(peak_key(ON_GPU, CATALOG), Peak(mib=600.0))

        assert ledger.demand_mib(ON_GPU)["cuda:1"] > UNMEASURED_MIB


class TestProcessMemory:
    def test_remembers_a_peak_that_is_over(self) -> None:
        grown = "import sys; held = bytearray(b'1') * (200 << 20); del held; print(flush=True); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", grown], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            measured = process_memory(process.pid)
            process.stdin.close()

        assert measured.now_mib < 100
        assert 200 < measured.peak_mib < 300

    def test_of_this_process_is_measured_and_of_none_is_zero(self) -> None:
        assert process_memory(os.getpid()).now_mib > 5
        assert process_memory(2**22 + 1).now_mib == 0.0
