"""How many loads does the scheduler cost beside least-recently-used and a scheduler that knows the future?"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

from benchmarks.anchor import anchor
from benchmarks.report import Figure, report
from benchmarks.simulation import Run, Simulation, foreseen, least_recent
from benchmarks.traces import BUDGET_MIB, GENERATORS, MODELS, Arrival
from gpu_worker.residency import Rules

SEEDS = tuple(range(201, 221))
"""None of them was looked at while the rules were made; those were others."""


def play(arrivals: list[Arrival]) -> dict[str, Run]:
    """Run one trace under the three expectations, with the same rules and the same patience."""
    expectations = {"ours": None, "lru": least_recent(arrivals), "foreseen": foreseen(arrivals)}
    return {
        name: Simulation(MODELS, budget_mib=BUDGET_MIB, rules=Rules(), expectation=expectation).play(arrivals)
        for name, expectation in expectations.items()
    }


def figures_of(name: str, runs: list[dict[str, Run]]) -> list[Figure]:
    """Return what one generator's traces gave."""
    loads = {who: sum(run[who].loads for run in runs) for who in runs[0]}
    waits_s = {who: round(statistics.mean(run[who].mean_wait_s for run in runs), 2) for who in runs[0]}
    ratios = [run["ours"].loads / run["lru"].loads for run in runs]
    now = anchor()
    return [
        Figure(
            name=f"{name}: loads / least recently used",
            value=round(loads["ours"] / loads["lru"], 3),
            goal=1.0,
            better="lower",
            quality={"loads": loads["ours"], "mean_wait_s": waits_s["ours"], "mean_wait_lru_s": waits_s["lru"]},
            runs=[round(ratio, 3) for ratio in ratios],
            anchor=now,
        ),
        Figure(
            name=f"{name}: farthest next use (knows the future) / least recently used",
            value=round(loads["foreseen"] / loads["lru"], 3),
            better="lower",
            quality={"loads": loads["foreseen"], "mean_wait_s": waits_s["foreseen"]},
            anchor=now,
        ),
        Figure(
            name=f"{name}: budget violations",
            value=float(sum(run["ours"].budget_violations for run in runs)),
            unit="times",
            goal=0,
            better="lower",
            quality={"peak_mib": max(run["ours"].peak_mib for run in runs), "budget_mib": BUDGET_MIB},
            anchor=now,
        ),
    ]


def main() -> dict[str, Any]:
    """Play every generator with every seed and store the result."""
    figures = []
    for name, generate in GENERATORS.items():
        figures += figures_of(name, [play(generate(seed)) for seed in SEEDS])
    models = {model.name: f"{model.size_mib} MiB, {model.load_s:g} s to load" for model in MODELS.values()}
    return report("scheduler", figures, seeds=list(SEEDS), models=models, clock="simulated")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(), indent=2, default=str) + "\n")
