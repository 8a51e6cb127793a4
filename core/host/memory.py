"""Memory of process trees as proportional set size (PSS), which counts shared pages once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import psutil

SAMPLE_S = 1.0


def tree_pss_mib(roots: Iterable[int]) -> float:
    """Return the sum of the PSS of these processes and all their descendants, in MiB; those that end count nothing."""
    pids = set(roots)
    for root in tuple(pids):
        try:
            pids.update(child.pid for child in psutil.Process(root).children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    return sum(_pss_kib(pid) for pid in pids) / 1024


def _pss_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


class PeakSampler:
    """Samples the PSS of process trees every second in a side thread, and keeps the highest sum.

    Args of the constructor: a function that names the roots, asked anew at each sample.
    """

    def __init__(self, roots: Callable[[], Iterable[int]]) -> None:
        self.peak_pss_mib = 0.0
        self._roots = roots
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak-pss", daemon=True)

    def __enter__(self) -> PeakSampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.peak_pss_mib = max(self.peak_pss_mib, tree_pss_mib(self._roots()))
            if self._end.wait(SAMPLE_S):
                return
