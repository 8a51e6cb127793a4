"""Trains the picture head from benchmarks/pictures/training.csv and writes weights/heads/pictures.safetensors.

Started by ``python -c "from benchmarks import picture_training; picture_training.main()"``; what was fetched is kept
below CLOISTER_HOME. Thresholds come from cross-validation in which no source is in both halves, so that they speak for
sources that were not seen. The same material and seed give the same head on the same machine.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.numpy import save_file

from benchmarks.picture_calibration import UNLABELLED, Labels, calibrate
from benchmarks.picture_generated import Drawer
from benchmarks.picture_material import Entry, Manifest, Material
from core.settings.env import REPOSITORY, env
from inference.preprocessing.imagenet import ImageNetClassifier, class_definitions
from inference.preprocessing.picture_head import (
    CHART_KINDS,
    DOCUMENTS,
    HEAD_FILE,
    KINDS,
    ORIENTATIONS,
    PRESENCES,
    head_input,
)
from inference.preprocessing.picture_measure import picture_measure

FOLDER = REPOSITORY / "benchmarks" / "pictures"
GENERATED = {"form": 40, "invoice": 40, "table": 45, "letter": 25, "handwriting": 40}
OVERLAID = {"signature": 90, "barcode": 80, "photo": 60, "table": 80, "chart": 40}
SEED = 20
FOLDS = 6
HIDDEN = 192
PASSES = 70
DROPPED = 0.35
SAVED_EVERY = 200
TURNED_EVERY = 3
DECODED_EDGE_PX = 3000
LONGEST_SIDE_PX = 1000

Rows = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training picture with its labels; UNLABELLED where a label is not known.

    Attributes:
        key: Tells samples apart in the cache of features.
        group: Source that its content comes from: never in both halves of a split.
        real: Not drawn and nothing set into it.
    """

    key: str
    group: str
    real: bool
    kind: int
    chart_kind: int
    present: tuple[int, ...]
    turn: int


def material_read(cache: Path) -> tuple[Material, list[tuple[Entry, dict[str, str]]]]:
    """Return the training material and its pictures with their labels."""
    with (FOLDER / "training.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    entries = [
        Entry(
            id=f"t{index:04d}",
            source=row["source"],
            path=row["path"],
            sha256=row["sha256"],
            page=int(row["page"]) if row["page"] else None,
        )
        for index, row in enumerate(rows)
    ]
    sources = Manifest.read_sources(FOLDER / "training.toml")
    manifest = Manifest(sources=sources, pictures=tuple(entries))
    return Material(cache, manifest, longest_edge_px=DECODED_EDGE_PX), list(zip(entries, rows, strict=True))


Made = Callable[[], Image.Image]
"""Makes a picture when it is needed: most features are in the cache, and decoding costs more than all else."""


def samples(cache: Path) -> Iterator[tuple[Sample, Made]]:
    """Yield every training picture: real, turned, drawn and overlaid."""
    material, labelled = material_read(cache)
    fonts: dict[str, list[Path]] = {"printed": [], "written": []}
    held: list[tuple[Sample, Made]] = []
    for entry, row in labelled:
        if row["kind"] == "font":
            material.content(entry)
            fonts[row["chart_kind"]].append(cache / entry.source / entry.path)
            continue
        sample, decoded = _real_sample(entry, row), functools.partial(_decoded, material, entry)
        yield sample, decoded
        held.append((sample, decoded))
        number = int(hashlib.sha256(entry.sha256.encode()).hexdigest(), 16)
        if sample.turn == 0 and number % TURNED_EVERY == 0:
            turn = 1 + number // TURNED_EVERY % 3
            turned = dataclasses.replace(sample, key=f"{sample.key}-turned", turn=turn, real=False)
            yield turned, functools.partial(_turned, decoded, ORIENTATIONS[turn])
    words = sorted({word for text in class_definitions() for word in text.split() if word.isalpha()})
    drawer = functools.partial(Drawer, printed=fonts["printed"], written=fonts["written"], words=words)
    yield from _drawn(drawer)
    yield from _overlaid(drawer, held)


def _decoded(material: Material, entry: Entry) -> Image.Image:
    image = Image.fromarray(material.image(entry))
    image.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    return image


def _turned(made: Made, degrees: int) -> Image.Image:
    return made().rotate(degrees, expand=True)


def _chance(key: str) -> np.random.Generator:
    return np.random.default_rng(int(hashlib.sha256(key.encode()).hexdigest()[:12], 16))


def _real_sample(entry: Entry, row: dict[str, str]) -> Sample:
    return Sample(
        key=f"{entry.sha256[:16]}-{entry.page or 0}",
        group=_group(entry),
        real=True,
        kind=KINDS.index(row["kind"]),
        chart_kind=_chart_kind(row),
        present=tuple(int(row[name]) if row[name] else UNLABELLED for name in PRESENCES),
        turn=0 if row["orientation"] else UNLABELLED,
    )


def _group(entry: Entry) -> str:
    # Nearly all bills, slides and barcodes come from one source each; without it there would be none to learn from.
    match entry.source:
        case "ICDAR-2019-SROIE":
            return f"{entry.source} {entry.sha256[:1]}"
        case "texlive-publishers-doc" | "texlive-latex-recommended-doc" | "zxing" | "segno":
            return f"{entry.source} {Path(entry.path).parent}"
        case _:
            return entry.source


def _chart_kind(row: dict[str, str]) -> int:
    if row["kind"] != "chart":
        return UNLABELLED
    return CHART_KINDS.index(row["chart_kind"] or "other")


def _drawn(drawer: Callable[..., Drawer]) -> Iterator[tuple[Sample, Made]]:
    for name, count in GENERATED.items():
        for number in range(count):
            key = f"drawn-{SEED}-{name}-{number}"
            signed = name == "letter" and number % 3 != 0
            has_table = UNLABELLED if name == "form" else int(name in ("table", "invoice"))
            sample = Sample(
                key=key,
                group=f"drawn {number % FOLDS}",
                real=False,
                kind=KINDS.index(name),
                chart_kind=UNLABELLED,
                present=(has_table, 0, int(signed), 0, 0),
                turn=0 if name != "handwriting" else UNLABELLED,
            )
            yield sample, functools.partial(_draw, drawer(chance=_chance(key)), name, signed=signed)


def _draw(drawer: Drawer, name: str, *, signed: bool) -> Image.Image:
    image: Image.Image = getattr(drawer, name)()
    return drawer.signed(image) if signed else image


def _overlaid(drawer: Callable[..., Drawer], held: Sequence[tuple[Sample, Made]]) -> Iterator[tuple[Sample, Made]]:
    pages = [one for one in held if KINDS[one[0].kind] in ("page", "letter", "form", "invoice")]
    insets = {
        "photo": [made for sample, made in held if KINDS[sample.kind] == "photograph"],
        "chart": [made for sample, made in held if KINDS[sample.kind] == "chart"],
    }
    photographs = [one for one in held if KINDS[one[0].kind] == "photograph"]
    for name, count in OVERLAID.items():
        for number in range(count):
            key = f"overlaid-{SEED}-{name}-{number}"
            chance = _chance(key)
            below = photographs if name == "barcode" and number % 4 == 0 else pages
            base, made = below[int(chance.integers(len(below)))]
            several = insets.get(name, [])
            inset = several[int(chance.integers(len(several)))] if several else None
            present = list(base.present)
            present[PRESENCES.index(name)] = 1
            sample = dataclasses.replace(base, key=key, real=False, present=tuple(present), turn=UNLABELLED)
            yield sample, functools.partial(_overlay, drawer(chance=chance), name, made, inset)


def _overlay(drawer: Drawer, name: str, made: Made, inset: Made | None) -> Image.Image:
    if inset is not None:
        return drawer.pasted(made(), inset())
    overlay = {"signature": drawer.signed, "barcode": drawer.barcoded, "table": drawer.tabled}[name]
    return overlay(made())


def features_of(cache: Path) -> tuple[list[Sample], Rows]:
    """Return all samples with their rows of features, which are kept in the cache."""
    torch.set_num_threads(1)
    store = cache / "features.npz"
    known = dict(np.load(store)) if store.is_file() else {}
    classifier = ImageNetClassifier(env().weights / "efficientnet-lite0", device="cpu")
    found = []
    for sample, made in samples(cache):
        if sample.key not in known:
            pixels = np.asarray(_compressed(made(), sample.key))
            known[sample.key] = head_input(classifier.features([pixels])[0], pixels, picture_measure(pixels))
            if len(known) % SAVED_EVERY == 0:
                np.savez(store, **known)
        found.append(sample)
    np.savez(store, **known)
    return found, np.stack([known[sample.key] for sample in found])


def _compressed(image: Image.Image, key: str) -> Image.Image:
    # Every third sample is encoded once more, so that the head does not read the marks of an encoder.
    quality = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 180
    if quality > 60:
        return image
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=35 + quality)
    return Image.open(buffer).convert("RGB")


def labels_of(found: Sequence[Sample]) -> Labels:
    """Collect the labels of samples."""
    return Labels(
        kind=np.array([sample.kind for sample in found]),
        chart_kind=np.array([sample.chart_kind for sample in found]),
        present=np.array([sample.present for sample in found]),
        turn=np.array([sample.turn for sample in found]),
    )


class Network(torch.nn.Module):
    """One hidden layer, four outputs."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(inputs, HIDDEN)
        self.kind = torch.nn.Linear(HIDDEN, len(KINDS))
        self.chart_kind = torch.nn.Linear(HIDDEN, len(CHART_KINDS))
        self.turn = torch.nn.Linear(HIDDEN, len(ORIENTATIONS))
        self.present = torch.nn.Linear(HIDDEN, len(PRESENCES))

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return logits of every output."""
        rows = torch.nn.functional.dropout(rows, DROPPED / 2, self.training)
        hidden = torch.nn.functional.dropout(torch.relu(self.hidden(rows)), DROPPED, self.training)
        return {name: getattr(self, name)(hidden) for name in ("kind", "chart_kind", "turn", "present")}


def fit(rows: Rows, labels: Labels) -> tuple[Network, Rows, Rows]:
    """Train a network; returns it with mean and deviation of its inputs."""
    torch.manual_seed(SEED)
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    inputs = torch.from_numpy(np.clip((rows - mean) / deviation, -6, 6))
    network = Network(rows.shape[1])
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=PASSES * (len(rows) // 128 + 1))
    counts = np.bincount(labels.kind, minlength=len(KINDS))
    weights = torch.from_numpy((1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32))
    truth = {name: torch.from_numpy(getattr(labels, name)) for name in ("kind", "chart_kind", "turn", "present")}
    network.train()
    for _ in range(PASSES):
        for chosen in torch.split(torch.randperm(len(rows)), 128):
            output = network(inputs[chosen])
            loss = torch.nn.functional.cross_entropy(
                output["kind"], truth["kind"][chosen], weight=weights, label_smoothing=0.05
            )
            for name, share in (("chart_kind", 0.5), ("turn", 0.5)):
                wanted = truth[name][chosen]
                if (wanted != UNLABELLED).any():
                    loss = loss + share * torch.nn.functional.cross_entropy(
                        output[name], wanted, ignore_index=UNLABELLED, label_smoothing=0.05
                    )
            wanted = truth["present"][chosen]
            each = torch.nn.functional.binary_cross_entropy_with_logits(
                output["present"], wanted.clamp(min=0).float(), reduction="none"
            )
            stated = wanted != UNLABELLED
            loss = loss + 2 * (each * stated).sum() / stated.sum().clamp(min=1)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    return network.eval(), mean, deviation


def predicted(network: Network, mean: Rows, deviation: Rows, rows: Rows) -> dict[str, Rows]:
    """Return the logits of rows."""
    with torch.inference_mode():
        output = network(torch.from_numpy(np.clip((rows - mean) / deviation, -6, 6)))
    return {name: one.numpy() for name, one in output.items()}


def cross_validated(found: Sequence[Sample], rows: Rows, labels: Labels) -> dict[str, Rows]:
    """Return logits of every sample from a network that saw nothing of its source."""
    fold = np.array([int(hashlib.sha256(sample.group.encode()).hexdigest(), 16) % FOLDS for sample in found])
    logits: dict[str, Rows] = {}
    for number in range(FOLDS):
        seen, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        part = Labels(**{name: getattr(labels, name)[seen] for name in ("kind", "chart_kind", "present", "turn")})
        network, mean, deviation = fit(rows[seen], part)
        for name, values in predicted(network, mean, deviation, rows[held]).items():
            logits.setdefault(name, np.zeros((len(rows), values.shape[1]), np.float32))[held] = values
    return logits


def main(cache: Path | None = None) -> None:
    """Train, calibrate, write the head and print what cross-validation found."""
    cache = cache or env().home / "pictures"
    found, rows = features_of(cache)
    labels = labels_of(found)
    logits = cross_validated(found, rows, labels)
    save_file(logits, cache / "logits.safetensors")
    calibration, report = calibrate(np.array([sample.real for sample in found]), labels, logits)
    network, mean, deviation = fit(rows, labels)
    tensors = {name: one.detach().numpy().astype(np.float16) for name, one in network.state_dict().items()}
    tensors |= {"mean": mean.astype(np.float32), "deviation": deviation.astype(np.float32)}
    save_file(tensors, HEAD_FILE, metadata={"calibration": json.dumps(calibration, sort_keys=True)})
    report |= {
        "samples": len(found),
        "real": int(sum(sample.real for sample in found)),
        "groups": len({sample.group for sample in found if sample.real}),
        "document_kinds": list(DOCUMENTS),
        "sha256": hashlib.sha256(HEAD_FILE.read_bytes()).hexdigest(),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
