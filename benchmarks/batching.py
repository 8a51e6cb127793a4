"""What does merging requests across clients give under load, and what does the way through the host cost one client?"""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
import sys
import threading
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.anchor import anchor
from benchmarks.engine_hosts import RunningHost, engine_host
from benchmarks.report import Figure, figure_of_runs, report
from core.settings.env import REPOSITORY
from core.settings.profile import Profile, profile_read
from gpu_worker.places import model_store
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.values import Vectors

CLIENTS = 32
REQUESTS_EACH = 12
SINGLE_REQUESTS = 120
REPEATS = 5
DEADLINE_S = 120.0


def questions() -> list[str]:
    """Return the labelled questions: what clients send one by one."""
    data = tomllib.loads((REPOSITORY / "tests" / "labelled" / "questions.toml").read_text())
    return [one["question"] for one in data["answerable"]] + [*data["near_miss"], *data["off_topic"]]


def text_profile(*, max_batch_items: int | None = None) -> Profile:
    """Return the embedded profile with its text role alone."""
    embedded = profile_read("embedded")
    text = embedded.roles["text"]
    if max_batch_items is not None:
        text = dataclasses.replace(text, max_batch_items=max_batch_items)
    return dataclasses.replace(embedded, name="bench", roles={"text": text})


def concurrent_per_s(host: RunningHost, texts: Sequence[str]) -> float:
    """Let 32 clients ask for one text after the other at the same time; return texts a second."""
    start = threading.Barrier(CLIENTS + 1)

    def client(number: int) -> None:
        mine = itertools.islice(itertools.cycle(texts), number, number + REQUESTS_EACH)
        with host.pool.lease(role="text", priority="interactive", deadline_s=DEADLINE_S) as engine:
            start.wait()
            for text in mine:
                engine.embed_texts([text])

    with ThreadPoolExecutor(max_workers=CLIENTS) as threads:
        clients = [threads.submit(client, number) for number in range(CLIENTS)]
        start.wait()
        begun_s = time.perf_counter()
        for one in clients:
            one.result()
        return CLIENTS * REQUESTS_EACH / (time.perf_counter() - begun_s)


def single_p50_s(embed: Any, texts: Sequence[str]) -> float:
    """Let one client ask for one text after the other; return the median of its waits."""
    waits = []
    for text in itertools.islice(itertools.cycle(texts), SINGLE_REQUESTS):
        begun_s = time.perf_counter()
        embed([text])
        waits.append(time.perf_counter() - begun_s)
    return statistics.median(waits)


def raw_encoder(folder: Path, threads: int) -> Any:
    """Return sentence-transformers' own encode on the same model with as many threads."""
    import torch

    torchvision_prepare()
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def encode(texts: Sequence[str]) -> Vectors:
        vectors: Vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return vectors

    return encode


def histogram(host: RunningHost) -> list[int]:
    """Return the size of every batch that the engine itself has counted so far."""
    sizes = host.engine("text")["batch_sizes"]
    return [int(size) for size, count in sizes.items() for _ in range(count)]


def main() -> dict[str, Any]:
    """Measure both, in turn, and store the result."""
    texts = questions()
    with engine_host(text_profile()) as merged, engine_host(text_profile(max_batch_items=1)) as apart:
        runs = [(concurrent_per_s(merged, texts), concurrent_per_s(apart, texts)) for _ in range(REPEATS)]
        loaded = histogram(merged)
        under_load = anchor()
    raw = raw_encoder(model_store().folder("all-minilm-l6-v2"), text_profile().roles["text"].threads)
    with engine_host(text_profile()) as idle, idle.pool.lease(role="text", deadline_s=DEADLINE_S) as engine:
        for embed in (raw, engine.embed_texts):
            single_p50_s(embed, texts[:20])
        before = len(histogram(idle))
        waits = [(single_p50_s(engine.embed_texts, texts), single_p50_s(raw, texts)) for _ in range(REPEATS)]
        alone = histogram(idle)[:]
        cosine = float(np.min(np.sum(engine.embed_texts(texts) * raw(texts), axis=1)))
        at_rest = anchor()
    assert len(alone) > before
    figures = [
        figure_of_runs(
            "32 clients with one text each, merged / one by one",
            [with_merging / without for with_merging, without in runs],
            goal=2.5,
            quality={"median_batch": statistics.median(loaded), "texts_per_s": round(runs[-1][0], 1)},
            anchor=under_load,
        ),
        Figure(
            name="median batch at 32 clients, counted by the engine",
            value=float(statistics.median(loaded)),
            unit="texts",
            goal=5,
            quality={"batches": len(loaded), "largest": max(loaded)},
            anchor=under_load,
        ),
        Figure(
            name="median batch at one client, counted by the engine",
            value=float(statistics.median(alone)),
            unit="texts",
            goal=1,
            better="lower",
            quality={"batches": len(alone)},
            anchor=at_rest,
        ),
        figure_of_runs(
            "one client, median wait through the host / raw encode",
            [through / direct for through, direct in waits],
            goal=1.15,
            better="lower",
            quality={
                "least_cosine": round(cosine, 6),
                "through_host_ms": round(waits[-1][0] * 1000, 2),
                "raw_ms": round(waits[-1][1] * 1000, 2),
            },
            anchor=at_rest,
        ),
    ]
    return report("batching", figures, clients=CLIENTS, requests_each=REQUESTS_EACH, questions=len(texts))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(), indent=2, default=str) + "\n")
