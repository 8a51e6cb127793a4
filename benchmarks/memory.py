"""Do engines stay inside the memory budget, give it back when unloaded, and lose no job where it is short?"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.anchor import anchor
from benchmarks.engine_hosts import RunningHost, engine_host
from benchmarks.mixture import PssSampler, mixture_profile, mixture_run
from benchmarks.report import Figure, figure_of_runs, report
from core.host.memory import tree_pss_mib
from core.settings.profile import Profile, RoleConfig, profile_read
from inference.engines.fakes_failing import FakeHungryEmbedder
from inference.errors import InferenceError

MIX_S = 300.0
MIX_SEED = 7
BUDGET_MIB = 2000
UNLOADS = 3
HUNGRY_JOBS = 200
TEXT_BATCHES = 40
WAIT_S = 60.0


def mix(seconds: float) -> Figure:
    """Run the mix of unlike work and compare the engines' memory with the budget all the time."""
    profile = mixture_profile(profile_read("embedded"), BUDGET_MIB)
    with engine_host(profile) as host, PssSampler(host.pid) as sampler:
        answered, errors = mixture_run(host.pool, seed=MIX_SEED, seconds=seconds, roles=profile.roles)
        engines = host.pool.status()["engines"]
    over = sum(sample > BUDGET_MIB for sample in sampler.samples_mib)
    return Figure(
        name=f"highest memory of all engines in a mix of {seconds:.0f} s / budget",
        value=round(max(sampler.samples_mib) / BUDGET_MIB, 3),
        goal=1.0,
        better="lower",
        quality={
            "budget_mib": BUDGET_MIB,
            "samples": len(sampler.samples_mib),
            "samples_over": over,
            "calls_answered": sum(answered.values()),
            "errors": len(errors),
            "loads": sum(engine["loads"] for engine in engines),
            "unloads": sum(engine["unloads"] for engine in engines),
        },
        anchor=anchor(),
        reason="; ".join(sorted(set(errors))[:3]),
    )


def given_back() -> Figure:
    """Load and unload the language model and compare the whole host before and after."""
    embedded = profile_read("embedded")
    language = dataclasses.replace(embedded.roles["language"], preload=False, pinned=False, idle_unload_s=0.1)
    runs, loaded_mib = [], 0.0
    with engine_host(dataclasses.replace(embedded, name="bench", roles={"language": language})) as host:
        # The first load brings in code that the host keeps.
        _load_and_unload(host)
        for _ in range(UNLOADS):
            before_mib = tree_pss_mib([host.pid])
            loaded_mib = _load_and_unload(host)
            runs.append(tree_pss_mib([host.pid]) / before_mib)
    return figure_of_runs(
        "memory of the host after unload / before load",
        runs,
        digits=3,
        goal=1.05,
        better="lower",
        quality={"loaded_mib": round(loaded_mib)},
        anchor=anchor(),
    )


def out_of_memory() -> Figure:
    """Give many clients work whose batches do not fit, and count the jobs that got no or a wrong answer."""
    role = RoleConfig(
        role="text",
        engine="fake_hungry",
        models=(),
        max_batch_items=32,
        options={"mib_per_text": 20, "room_mib": 100},
    )
    profile = Profile(
        name="bench",
        memory_budget_mib=1000,
        bulk_concurrency=1,
        interactive_concurrency=1,
        roles={"text": role},
    )
    alone = FakeHungryEmbedder()

    def job(host: RunningHost, number: int) -> bool:
        texts = [f"job {number}", f"second text of job {number}"]
        try:
            with host.pool.lease(role="text", deadline_s=WAIT_S) as engine:
                return bool(np.allclose(engine.embed_texts(texts), alone.embed_texts(texts)))
        except InferenceError:
            return False

    with engine_host(profile) as host, ThreadPoolExecutor(max_workers=32) as threads:
        right = list(threads.map(lambda number: job(host, number), range(HUNGRY_JOBS)))
        engine = host.engine("text")
    return Figure(
        name="jobs lost when batches do not fit into memory (injected)",
        value=float(right.count(False)),
        unit="jobs",
        goal=0,
        better="lower",
        quality={"jobs": HUNGRY_JOBS, "batches_halved": engine["halvings"], "crashes": engine["crashes"]},
        anchor=anchor(),
    )


def text_growth() -> Figure:
    """Embed many full batches of changing lengths and compare the engine's memory with that after the first ones."""
    import random

    embedded = profile_read("embedded")
    chance = random.Random(1)
    words = ["berth", "bollard", "harbour", "tide", "gauge", "pump", "valve", "ledger", "audit", "winch"]
    profile = dataclasses.replace(embedded, name="bench", roles={"text": embedded.roles["text"]})
    sizes_mib = []
    with engine_host(profile) as host, host.pool.lease(role="text", deadline_s=600) as engine:
        for _ in range(TEXT_BATCHES):
            engine.embed_texts([" ".join(chance.choices(words, k=chance.randint(5, 260))) for _ in range(32)])
            sizes_mib.append(host.engine("text")["pss_mib"])
    return Figure(
        name=f"text engine after {TEXT_BATCHES} batches of changing lengths / after 10",
        value=round(sizes_mib[-1] / sizes_mib[9], 3),
        goal=1.05,
        better="lower",
        quality={"after_10_mib": round(sizes_mib[9]), "last_mib": round(sizes_mib[-1]), "most_mib": max(sizes_mib)},
        anchor=anchor(),
    )


def _load_and_unload(host: RunningHost) -> float:
    host.load("language")
    loaded_mib = tree_pss_mib([host.pid])
    give_up = time.monotonic() + WAIT_S
    while host.engine("language")["loaded"] or len(_children(host)) > 0:
        if time.monotonic() > give_up:
            raise TimeoutError("the language model was not unloaded")
        time.sleep(0.2)
    return loaded_mib


def _children(host: RunningHost) -> list[Any]:
    import psutil

    return list(psutil.Process(host.pid).children(recursive=True))


def main() -> dict[str, Any]:
    """Measure all of it and store the result."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mix-s", type=float, default=MIX_S, help="seconds of the mix of unlike work")
    chosen = arguments.parse_args()
    figures: list[Figure] = []
    result: dict[str, Any] = {}
    for measure in (out_of_memory, given_back, lambda: mix(chosen.mix_s), text_growth):
        figures.append(measure())
        # Stored after each part: the whole takes ten minutes.
        result = report("memory", figures, seed=MIX_SEED)
    return result


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(), indent=2, default=str) + "\n")
