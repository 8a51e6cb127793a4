"""What a suite found: figures with goal, quality and anchor, printed as a table and stored as typed JSON."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from benchmarks.anchor import Anchor
from core.settings.env import REPOSITORY, env

RESULTS = REPOSITORY / "benchmarks" / "results"

Better = Literal["higher", "lower"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure.

    Attributes:
        name: What was measured, in words.
        value: The figure: a ratio wherever two things were measured in one run; None where it could not be measured.
        unit: ``x`` for a ratio, else the unit.
        goal: What was to be reached; None for a figure that is only reported.
        better: Whether more or less of it is better.
        quality: What the speed was bought with: recall, error rate, agreement ...
        runs: The repeats, of which ``value`` is the median.
        anchor: The machine in the same minute.
        reason: Why a goal was missed, or why there is no value.
    """

    name: str
    value: float | None
    unit: str = "x"
    goal: float | None = None
    better: Better = "higher"
    quality: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    runs: Sequence[float] = ()
    anchor: Anchor | None = None
    reason: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None where there is no goal."""
        if self.goal is None:
            return None
        if self.value is None:
            return False
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {**dataclasses.asdict(self), "met": self.met}


def figure_of_runs(name: str, runs: Sequence[float], *, digits: int = 2, **fields: Any) -> Figure:
    """Return the figure whose value is the median of its repeats."""
    rounded = [round(float(one), digits) for one in runs]
    return Figure(name=name, value=round(statistics.median(runs), digits), runs=rounded, **fields)


def report(suite: str, figures: Sequence[Figure], **details: Any) -> dict[str, Any]:
    """Print the table on stderr, store benchmarks/results/<suite>.json, and return what was stored.

    Args:
        suite: Name of the suite.
        figures: What was measured.
        details: Whatever else explains the figures: model digests, settings, sizes, peers that failed.
    """
    result = {
        "benchmark": suite,
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "profile": env().profile,
        "host": host_facts(),
        "figures": [one.as_json() for one in figures],
        **details,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{suite}.json").write_text(json.dumps(result, indent=2, default=str) + "\n")
    sys.stderr.write(table(figures) + "\n")
    return result


def host_facts() -> dict[str, Any]:
    """Return what of the machine and its libraries bears on speed."""
    libraries = ("django", "djangorestframework", "psycopg", "numpy", "torch")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        # Without the local part, which only names a build of one machine.
        "versions": {name: version(name).partition("+")[0] for name in libraries},
    }


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of a table for people."""
    rows = [("figure", "value", "goal", "met", "quality", "anchor GFLOP/s")]
    for one in figures:
        sign = ">=" if one.better == "higher" else "<="
        rows.append(
            (
                one.name,
                "-" if one.value is None else f"{one.value:g} {one.unit}",
                "" if one.goal is None else f"{sign} {one.goal:g}",
                {None: "", True: "yes", False: "MISSED"}[one.met],
                ", ".join(f"{key} {value}" for key, value in one.quality.items()),
                "" if one.anchor is None else f"{one.anchor.matmul_gflop_s:g} (spread {one.anchor.spread:g})",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    reasons = [f"{one.name}: {one.reason}" for one in figures if one.reason]
    return "\n".join([*lines, *reasons])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
