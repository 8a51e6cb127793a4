from __future__ import annotations

import io
from pathlib import Path

import pytest

from core.cli.lanes import Lane

PASSING = "def test_passes():\n    assert True\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:django -p no:cacheprovider\n")
    return tmp_path


def run(folder: Path) -> object:
    with (folder / "output.txt").open("w") as output:
        return Lane(name="tried", folder=str(folder)).run(output)


class TestLane:
    def test_counts_what_passed(self, folder: Path) -> None:
        (folder / "test_one.py").write_text(PASSING)

        result = run(folder)

        assert (result.state, result.passed, result.failed) == ("passed", 1, 0)

    def test_fails_with_a_failing_test(self, folder: Path) -> None:
        (folder / "test_one.py").write_text(PASSING + "def test_fails():\n    assert not 1\n")

        result = run(folder)

        assert (result.state, result.passed, result.failed) == ("failed", 1, 1)

    def test_fails_when_it_is_empty(self, folder: Path) -> None:
        result = run(folder)

        assert (result.state, result.failed, result.reason) == ("failed", 1, "the lane is empty")

    def test_fails_when_a_test_skips_itself(self, folder: Path) -> None:
        (folder / "test_one.py").write_text("import pytest\n" + PASSING + "def test_two():\n    pytest.skip('no')\n")

        result = run(folder)

        assert (result.state, result.passed, result.failed, result.reason) == ("failed", 1, 1, "1 skipped")

    def test_is_not_run_without_what_it_needs(self, folder: Path) -> None:
        lane = Lane(name="tried", folder=str(folder), needs=(lambda: "x is missing: get x",))

        result = lane.run(io.StringIO())

        assert (result.state, result.reason) == ("not run", "x is missing: get x")

    def test_fails_when_its_folder_is_missing(self, folder: Path) -> None:
        with (folder / "output.txt").open("w") as output:
            result = Lane(name="tried", folder=str(folder / "nowhere")).run(output)

        assert (result.state, result.failed) == ("failed", 1)
