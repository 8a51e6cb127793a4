"""117,000 short real texts: the glosses of WordNet 3.0 from Debian's wordnet-base, with their vectors, cached."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np

from core.settings.env import REPOSITORY, env
from core.settings.profile import profile
from inference.registry import engine_class
from inference.values import Vectors
from models_local.catalog import catalog_read
from models_local.store import Store

PACKAGE = "wordnet-base"
PARTS = ("noun", "verb", "adj", "adv")
BLOCK_TEXTS = 4096
"""One file of vectors each, so that an interrupted run goes on where it was."""


class CorpusUnavailable(Exception):
    """The package could not be fetched or unpacked; the message holds what the tool said."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Texts in a fixed random order, and one unit vector for each."""

    texts: tuple[str, ...]
    vectors: Vectors
    model: str
    package: str


def glosses() -> tuple[tuple[str, ...], str]:
    """Return every distinct gloss in a fixed random order, and the package file it comes from.

    Raises:
        CorpusUnavailable: ``apt-get download`` or ``dpkg-deb`` ended with an error.
    """
    folder = env().home_path / "bench" / "wordnet"
    folder.mkdir(parents=True, exist_ok=True)
    package = _package(folder)
    data = folder / "unpacked" / "usr" / "share" / "wordnet"
    if not (data / "data.adv").is_file():
        _run(["dpkg-deb", "--extract", str(package), str(folder / "unpacked")], folder)
    found: dict[str, None] = {}
    for part in PARTS:
        for line in (data / f"data.{part}").read_text(encoding="latin-1").splitlines():
            # The licence stands above the data, indented by two spaces.
            if not line.startswith("  "):
                found[line.partition("|")[2].strip()] = None
    texts = sorted(text for text in found if text)
    order = np.random.default_rng(0).permutation(len(texts))
    return tuple(texts[index] for index in order), package.name


def corpus() -> Corpus:
    """Return the glosses with vectors of the profile's text role, embedded once and kept under CLOISTER_HOME/bench.

    Raises:
        CorpusUnavailable: The package could not be had.
        models_local.errors.ModelMissing: The store lacks the model.
    """
    texts, package = glosses()
    role = profile().roles["text"]
    catalog = catalog_read(REPOSITORY / "configs" / "models.toml")
    model = catalog.model(role.models[0])
    folder = env().home_path / "bench" / "wordnet" / f"{model.digest[:16]}-{role.recipe_version}"
    folder.mkdir(exist_ok=True)
    blocks = range(0, len(texts), BLOCK_TEXTS)
    missing = [start for start in blocks if not (folder / f"{start}.npy").is_file()]
    if missing:
        store = Store(env().weights, catalog)
        engine = engine_class(role.engine)([store.folder(name) for name in role.models], threads=role.threads)
        for start in missing:
            sys.stderr.write(f"embedding glosses {start} to {start + BLOCK_TEXTS} of {len(texts)}\n")
            _save(folder / f"{start}.npy", engine.embed_texts(texts[start : start + BLOCK_TEXTS]))
    vectors = np.concatenate([np.load(folder / f"{start}.npy", allow_pickle=False) for start in blocks])
    return Corpus(texts=texts, vectors=vectors, model=f"{model.name} {model.digest[:12]}", package=package)


def _save(path: Path, vectors: Vectors) -> None:
    draft = path.with_suffix(".part.npy")
    np.save(draft, vectors, allow_pickle=False)
    draft.replace(path)


def _package(folder: Path) -> Path:
    found = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not found:
        _run(["apt-get", "download", PACKAGE], folder)
        found = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not found:
        raise CorpusUnavailable(f"apt-get download {PACKAGE} left no file in {folder}")
    return found[-1]


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CorpusUnavailable(
            f"'{command[0]}' is not on this machine; the texts come from a Debian package"
        ) from error
    if done.returncode != 0:
        raise CorpusUnavailable(f"'{' '.join(command)}' ended with {done.returncode}: {done.stderr.strip()}")
