"""The test lanes: what each runs, and what it needs before it can."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal
from xml.etree import ElementTree

from core.settings.env import REPOSITORY, child_environment, env
from core.settings.model_catalog import model_catalog
from models_local.store import Store

State = Literal["passed", "failed", "not run"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LaneResult:
    """How a lane ended.

    Attributes:
        reason: Why it failed or was not run; for the latter with the command that provides what it needs.
    """

    name: str
    state: State
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One lane.

    Attributes:
        folder: Of its tests; None for the checks that need no test.
        needs: Each returns what is missing and how to get it, or None.
    """

    name: str
    folder: str | None = None
    needs: tuple[Callable[[], str | None], ...] = ()

    def run(self, output: IO[str]) -> LaneResult:
        """Run the lane as subprocesses; their output goes to ``output``."""
        lacking = [reason for need in self.needs if (reason := need()) is not None]
        if lacking:
            return LaneResult(name=self.name, state="not run", reason="; ".join(lacking))
        begun_s = time.monotonic()
        result = _checks(self.name, output) if self.folder is None else _tests(self.name, self.folder, output)
        return dataclasses.replace(result, seconds=round(time.monotonic() - begun_s, 1))


def _python_library(name: str, advice: str) -> Callable[[], str | None]:
    return lambda: None if find_spec(name) is not None else f"{name} is missing: {advice}"


def _program(names: Sequence[str], advice: str) -> Callable[[], str | None]:
    return lambda: None if any(map(shutil.which, names)) else f"{' or '.join(names)} is missing: {advice}"


def models_absent() -> list[str]:
    """Return the models of the catalog that the store lacks; the conformance suites use all of them."""
    catalog = model_catalog()
    store = Store(env().weights, catalog)
    return sorted(name for name in catalog.models if not store.present(name))


def models_needed() -> str | None:
    """Say which models are missing and how to get them."""
    missing = models_absent()
    return f"models are missing ({', '.join(missing)}): ./cloister models pull {' '.join(missing)}" if missing else None


_PYTEST = _python_library("pytest_django", "./cloister test")
_LLAMA = _python_library("llama_cpp", "apt-get install g++ && ./cloister test")
_CHROMIUM = _program(("chromium", "chromium-browser"), "apt-get install chromium chromium-driver")
_LIBREOFFICE = _program(
    ("soffice", "libreoffice"), "apt-get install libreoffice-writer libreoffice-calc libreoffice-impress"
)
_UNSHARE = _program(("unshare",), "apt-get install util-linux")

LANES = (
    Lane(name="static", needs=(_python_library("mypy", "./cloister test"),)),
    Lane(name="unit", folder="tests/unit", needs=(_PYTEST,)),
    Lane(name="architecture", folder="tests/architecture", needs=(_PYTEST,)),
    Lane(name="services", folder="tests/services", needs=(_PYTEST,)),
    Lane(name="engines", folder="tests/engines", needs=(_PYTEST, models_needed, _LLAMA)),
    Lane(name="end_to_end", folder="tests/end_to_end", needs=(_PYTEST, models_needed, _UNSHARE, _LIBREOFFICE)),
    Lane(name="browser", folder="tests/browser", needs=(_PYTEST, models_needed, _CHROMIUM)),
    Lane(name="clients", folder="tests/clients", needs=(_PYTEST, models_needed)),
    Lane(name="faults", folder="tests/faults", needs=(_PYTEST, models_needed)),
)

CHECKS: tuple[tuple[str, ...], ...] = (
    ("-m", "ruff", "check", "."),
    ("-m", "ruff", "format", "--check", "."),
    ("-m", "mypy"),
    ("-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"),
)


def _checks(name: str, output: IO[str]) -> LaneResult:
    failed = [" ".join(check[:2]) for check in CHECKS if _run(check, output) != 0]
    return LaneResult(
        name=name,
        state="failed" if failed else "passed",
        passed=len(CHECKS) - len(failed),
        failed=len(failed),
        reason=", ".join(failed),
    )


def _tests(name: str, folder: str, output: IO[str]) -> LaneResult:
    with tempfile.TemporaryDirectory(prefix="cloister-lane-") as place:
        report = Path(place) / "report.xml"
        code = _run(("-m", "pytest", folder, "-q", f"--junitxml={report}"), output)
        if not report.is_file():
            return LaneResult(name=name, state="failed", failed=1, reason=f"pytest ended with code {code}")
        counts = _counts(report)
    if counts.tests == 0:
        return LaneResult(name=name, state="failed", failed=1, reason="the lane is empty")
    # A test that skips itself has not shown anything.
    failed = counts.failures + counts.errors + counts.skipped
    reason = f"{counts.skipped} skipped" if counts.skipped else ""
    if code != 0 and failed == 0:
        failed, reason = 1, f"pytest ended with code {code}"
    state: State = "failed" if failed else "passed"
    return LaneResult(name=name, state=state, passed=max(0, counts.tests - failed), failed=failed, reason=reason)


@dataclasses.dataclass(frozen=True, slots=True)
class _Counts:
    tests: int
    failures: int
    errors: int
    skipped: int


def _counts(report: Path) -> _Counts:
    # The file was written by the pytest that we started.
    suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314
    sums = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in suites:
        for key in sums:
            sums[key] += int(suite.get(key, 0))
    return _Counts(**sums)


def _run(arguments: Sequence[str], output: IO[str]) -> int:
    environment = child_environment(DJANGO_SETTINGS_MODULE="core.settings.test")
    output.flush()
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, stdout=output, stderr=output, env=environment, check=False
    ).returncode
