"""Small heads on the picture backbone: kind of picture, kind of chart, what is present, which way up.

The head is trained by benchmarks/picture_training.py and lies in weights/heads/. A statement comes back only
above the threshold at which it was right on pictures of sources that training had not seen; otherwise "unknown".
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from inference.preprocessing.imagenet import Features
from inference.preprocessing.picture_measure import PictureMeasure
from inference.values import RgbImage

HEAD_FILE = Path(__file__).resolve().parents[2] / "weights" / "heads" / "pictures.safetensors"

KINDS = (
    "photograph", "chart", "diagram", "map", "screenshot", "page", "letter", "form", "invoice", "table", "slide",
    "handwriting", "drawing", "barcode", "other",
)  # fmt: skip
DOCUMENTS = ("page", "letter", "form", "invoice", "handwriting")
"""Kinds that are all pages of a document, so that their sum says so where none of them is sure."""
CHART_KINDS = ("line chart", "bar chart", "scatter plot", "heat map", "pie chart", "other")
PRESENCES = ("table", "photo", "signature", "chart", "barcode")
ORIENTATIONS = (0, 90, 180, 270)
"""Clockwise turns that make the picture upright."""

UNKNOWN = "unknown"
_MEASURES = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One statement of the head: its value, or ``unknown``, with the probability behind it."""

    value: str
    confidence: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """Everything the head says of one picture.

    Attributes:
        kind: One of KINDS but ``other``, or ``document`` where only the family is sure.
        chart_kind: One of CHART_KINDS but ``other``.
        present: "yes", "no" or "unknown" for each of PRESENCES.
        turn: Clockwise turn in degrees that makes the picture upright, as text.
        kinds: The whole distribution over KINDS.
    """

    kind: Judgement
    chart_kind: Judgement
    present: Mapping[str, Judgement]
    turn: Judgement
    kinds: Mapping[str, float]


def head_input(features: Features, image: RgbImage, measure: PictureMeasure) -> npt.NDArray[np.float32]:
    """Join backbone features with what the pixels alone say."""
    height_px, width_px = image.shape[:2]
    measured = (
        np.log(width_px / height_px),
        np.log(width_px * height_px) / 10,
        measure.brightness,
        measure.chroma * 4,
        np.log1p(measure.distinct_colours) / 4,
        measure.ground_share,
        float(measure.ground_light),
        measure.flat_share,
    )
    assert len(measured) == _MEASURES
    return np.concatenate([features, np.array(measured, dtype=np.float32)])


class PictureHead:
    """A network of one hidden layer with its thresholds."""

    def __init__(self, path: Path = HEAD_FILE) -> None:
        with safe_open(path, framework="numpy") as stored:
            tensors = {name: stored.get_tensor(name).astype(np.float32) for name in stored.keys()}  # noqa: SIM118
            calibration = json.loads(stored.metadata()["calibration"])
        self._tensors = tensors
        self._thresholds: dict[str, dict[str, float]] = calibration["thresholds"]
        self._temperatures: dict[str, float] = calibration["temperatures"]

    def judge(self, rows: npt.NDArray[np.float32]) -> list[Judgements]:
        """Judge pictures by their rows of ``head_input``."""
        scores = self.scores(rows)
        return [self._judgements({name: one[index] for name, one in scores.items()}) for index in range(len(rows))]

    def scores(self, rows: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """Return calibrated probabilities of every output, one row per picture."""
        tensors = self._tensors
        scaled = np.clip((rows - tensors["mean"]) / tensors["deviation"], -6, 6)
        hidden = np.maximum(scaled @ tensors["hidden.weight"].T + tensors["hidden.bias"], 0)
        found = {}
        for name in ("kind", "chart_kind", "turn"):
            found[name] = _softmax(self._output(hidden, name))
        found["present"] = 1 / (1 + np.exp(-self._output(hidden, "present")))
        return found

    def _output(self, hidden: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
        scores = hidden @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return np.asarray(scores / self._temperatures[name], dtype=np.float32)

    def _judgements(self, scores: Mapping[str, npt.NDArray[np.float32]]) -> Judgements:
        kinds = dict(zip(KINDS, map(float, scores["kind"]), strict=True))
        present = {
            name: self._presence(name, float(share)) for name, share in zip(PRESENCES, scores["present"], strict=True)
        }
        turn = _best(scores["turn"], [str(one) for one in ORIENTATIONS], self._thresholds["turn"])
        chart_kind = _best(scores["chart_kind"], CHART_KINDS, self._thresholds["chart_kind"])
        return Judgements(kind=self._kind(kinds), chart_kind=chart_kind, present=present, turn=turn, kinds=kinds)

    def _kind(self, kinds: Mapping[str, float]) -> Judgement:
        thresholds = self._thresholds["kind"]
        best = max(kinds, key=kinds.__getitem__)
        if best != "other" and kinds[best] >= thresholds[best]:
            return Judgement(value=best, confidence=kinds[best])
        family = sum(kinds[name] for name in DOCUMENTS)
        if family >= thresholds["document"]:
            return Judgement(value="document", confidence=family)
        return Judgement(value=UNKNOWN, confidence=0.0)

    def _presence(self, name: str, share: float) -> Judgement:
        if share >= self._thresholds["yes"][name]:
            return Judgement(value="yes", confidence=share)
        if share <= self._thresholds["no"][name]:
            return Judgement(value="no", confidence=1 - share)
        return Judgement(value=UNKNOWN, confidence=0.0)


def _best(shares: npt.NDArray[np.float32], names: Sequence[str], thresholds: Mapping[str, float]) -> Judgement:
    best = int(shares.argmax())
    name = names[best]
    if name in thresholds and shares[best] >= thresholds[name]:
        return Judgement(value=name, confidence=float(shares[best]))
    return Judgement(value=UNKNOWN, confidence=0.0)


def _softmax(scores: npt.NDArray[np.float32]) -> Any:
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)
