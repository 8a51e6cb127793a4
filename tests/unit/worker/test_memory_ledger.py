"""Measured peaks decide what fits, and outlive the host."""

from __future__ import annotations

import os
from pathlib import Path

from core.settings.profile import RoleConfig
from gpu_worker.memory_ledger import UNMEASURED_MIB, MemoryLedger, pss_mib

SPEECH = RoleConfig(role="speech", engine="faster_whisper", models=("whisper-base",))


class TestMemoryLedger:
    def test_expects_the_highest_measurement_also_after_a_restart(self, tmp_path: Path) -> None:
        ledger = MemoryLedger(1000, tmp_path / "peaks.json")
        before = ledger.expected_mib(SPEECH)

        for measured in (300.0, 420.0, 350.0):
            ledger.observe(SPEECH, measured)

        assert before == UNMEASURED_MIB
        assert MemoryLedger(1000, tmp_path / "peaks.json").expected_mib(SPEECH) == 420.0

    def test_fits_only_inside_the_budget(self, tmp_path: Path) -> None:
        ledger = MemoryLedger(1000, tmp_path / "peaks.json")
        ledger.observe(SPEECH, 400.0)

        assert ledger.fits(SPEECH, 600.0)
        assert not ledger.fits(SPEECH, 601.0)

    def test_begins_anew_when_its_file_is_damaged(self, tmp_path: Path) -> None:
        (tmp_path / "peaks.json").write_text("{half")

        assert MemoryLedger(1000, tmp_path / "peaks.json").expected_mib(SPEECH) == UNMEASURED_MIB


class TestPss:
    def test_of_this_process_is_measured_and_of_none_is_zero(self) -> None:
        assert pss_mib(os.getpid()) > 5
        assert pss_mib(2**22 + 1) == 0.0
