"""How fast is bulk text embedding against the library's default and the field's own servers, with the same weights?"""

from __future__ import annotations

import dataclasses
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.anchor import anchor
from benchmarks.peers import PeerEnvironment, PeerFailed, peer_python
from benchmarks.report import Figure, figure_of_runs, report
from core.settings.env import REPOSITORY, env
from core.settings.profile import RoleConfig, profile
from inference.registry import engine_load
from inference.values import Vectors
from models_local.catalog import catalog_read
from models_local.store import Store

TEXTS = 300
ROUNDS = 5
LONGEST_WORDS = 180
CHECKED = 100

PEERS = {
    "fastembed": ["fastembed==0.9.1"],
    "infinity": ["infinity-emb[torch]==0.0.78", "torch==2.13.0"],
    "embed_anything": ["embed-anything==0.7.1"],
}


@dataclasses.dataclass(slots=True, kw_only=True)
class Contestant:
    """Something that embeds texts, and how long each round took."""

    name: str
    embed: Callable[[Sequence[str]], tuple[float, Vectors]]
    seconds: list[float] = dataclasses.field(default_factory=list)
    cosine: float = 0.0


def mixed_texts() -> list[str]:
    """Return texts of mixed lengths, as documents give them: the median has 20 words, one in twenty over 100."""
    words = (REPOSITORY / "LICENSE").read_text().split()
    chance = random.Random(1)
    lengths = (int(chance.lognormvariate(3, 1)) for _ in range(TEXTS))
    return [" ".join(chance.choices(words, k=min(LONGEST_WORDS, max(3, length)))) for length in lengths]


def in_process(name: str, embed: Callable[[Sequence[str]], Any]) -> Contestant:
    """Time a function of this process."""

    def timed(texts: Sequence[str]) -> tuple[float, Vectors]:
        begun_s = time.perf_counter()
        vectors = embed(texts)
        return time.perf_counter() - begun_s, np.asarray(vectors, dtype=np.float32)

    return Contestant(name=name, embed=timed)


def peer(name: str, found: PeerEnvironment, folder: Path, threads: int) -> tuple[Contestant, subprocess.Popen[str]]:
    """Start a peer in its own environment; it tells its own seconds, so the pipe costs it nothing."""
    child = found.start(
        [str(REPOSITORY / "benchmarks" / "peer_programs" / "embedding.py"), name, str(folder), str(threads)],
        HF_HOME=str(hub_cache(folder)),
        HF_HUB_OFFLINE="1",
        OMP_NUM_THREADS=str(threads),
    )

    def asked(texts: Sequence[str]) -> tuple[float, Vectors]:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(list(texts)) + "\n")
        child.stdin.flush()
        line = next((one for one in child.stdout if one.startswith("{")), None)
        if line is None:
            raise RuntimeError(f"{name} ended with {child.wait()}")
        answer = json.loads(line)
        return answer["seconds"], np.asarray(answer["vectors"], dtype=np.float32)

    return Contestant(name=name, embed=asked), child


def hub_cache(folder: Path) -> Path:
    """Lay the model out as a hub's cache would hold it: one peer loads from there only."""
    cache = env().home_path / "peers" / "hub"
    model = cache / "hub" / "models--same--weights"
    (model / "refs").mkdir(parents=True, exist_ok=True)
    (model / "snapshots").mkdir(exist_ok=True)
    (model / "refs" / "main").write_text("here")
    link = model / "snapshots" / "here"
    link.unlink(missing_ok=True)
    link.symlink_to(folder, target_is_directory=True)
    return cache


def run_all(contestants: Sequence[Contestant], texts: Sequence[str]) -> None:
    """Time everybody, turn by turn, after one round that warms up and is compared with the first contestant."""
    reference: Vectors | None = None
    for one in contestants:
        _, vectors = one.embed(texts)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        reference = unit if reference is None else reference
        one.cosine = float((unit * reference).sum(axis=1).min())
    for _ in range(ROUNDS):
        for one in contestants:
            one.seconds.append(one.embed(texts)[0])


def ratio(name: str, slow: Contestant, fast: Contestant, goal: float | None) -> Figure:
    """Return how many times as fast one is as the other, round by round."""
    runs = [theirs / ours for theirs, ours in zip(slow.seconds, fast.seconds, strict=True)]
    quality = {"least cosine": round(fast.cosine, 6), "that of the peer": round(slow.cosine, 6)}
    return figure_of_runs(name, runs, goal=goal, quality=quality, anchor=anchor())


def library_default(folder: Path, threads: int) -> Contestant:
    """Return sentence-transformers as a newcomer calls it."""
    import torch

    from inference.preprocessing.torch_operators import torchvision_prepare

    torchvision_prepare()
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return in_process("sentence-transformers", lambda texts: model.encode(list(texts), show_progress_bar=False))


def measured(role: RoleConfig, folder: Path) -> tuple[list[Figure], dict[str, str]]:
    """Measure the engine of the text role, the library's default and every peer that can be installed."""
    engine = engine_load(role.engine, [folder], threads=role.threads, options=role.options)
    ours = in_process(role.engine, engine.embed_texts)
    default = library_default(folder, role.threads)
    failed: dict[str, str] = {}
    peers, children = [], []
    for name, requirements in PEERS.items():
        found = peer_python(name, requirements)
        if isinstance(found, PeerFailed):
            failed[name] = found.reason
            continue
        contestant, child = peer(name, found, folder, role.threads)
        peers.append(contestant)
        children.append(child)
    try:
        run_all([default, ours, *peers], mixed_texts())
    finally:
        for child in children:
            child.kill()  # one of them waits for threads of its own when it is asked to end
            child.communicate()
    figures = [ratio("embedding: bulk / sentence-transformers' default", default, ours, 2.0)]
    if peers:
        best = min(peers, key=lambda one: statistics.median(one.seconds))
        figures.append(ratio(f"embedding: bulk / best peer ({best.name})", best, ours, 1.1))
        figures += [ratio(f"embedding: bulk / {one.name}", one, ours, None) for one in peers if one is not best]
    return figures, failed


def main() -> None:
    """Measure, print and store."""
    role = profile().roles["text"]
    folder = Store(env().weights, catalog_read(REPOSITORY / "configs" / "models.toml")).folder(role.models[0])
    figures, failed = measured(role, folder)
    result = report("embedding", figures, engine=role.engine, texts=TEXTS, peers=PEERS, peers_not_installed=failed)
    sys.stdout.write(json.dumps(result, default=str) + "\n")


if __name__ == "__main__":
    main()
