"""How well the picture-and-text space finds pictures that it was not built from, and where its floors lie."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.picture_material import Manifest, Material
from benchmarks.report import Figure
from core.settings.env import REPOSITORY
from inference.protocols import ImageTextEmbedder
from inference.values import RgbImage, Vectors

FOLDER = REPOSITORY / "benchmarks" / "pictures"
QUESTIONS = REPOSITORY / "tests" / "labelled" / "questions.toml"
WRONG_KEPT = 0.005
"""A floor keeps out all but this share of wrong pairs."""
_CUT = 0.1
_QUALITY = 70

Scores = npt.NDArray[np.float32]


def retrieval(space: ImageTextEmbedder, material: Material, manifest: Manifest) -> list[Figure]:
    """Search the scored set by words and by pictures."""
    images = [material.image(entry) for entry in manifest.pictures]
    pictures = space.embed_images(images)
    ids = [entry.id for entry in manifest.pictures]
    labels = tomllib.loads((FOLDER / "labels.toml").read_text())
    queries = tomllib.loads((FOLDER / "queries.toml").read_text())["queries"]
    right = np.array([[name in query["right"] for name in ids] for query in queries])
    scores = space.embed_texts([query["text"] for query in queries]) @ pictures.T
    figures = []
    for kind in ("photograph", "document"):
        chosen = [index for index, query in enumerate(queries) if query["kind"] == kind]
        figures.append(_ranked(f"{kind}s found by words, right one first", scores[chosen], right[chosen]))
    kinds = [set(labels[name]["kinds"]) for name in ids]
    copies = space.embed_images([_changed(image) for image in images])
    figures.append(
        _ranked("cut and encoded again, the picture itself first", copies @ pictures.T, np.eye(len(ids)) > 0)
    )
    figures.append(_neighbours(pictures, kinds))
    questions = _text_questions(QUESTIONS)
    asked = space.embed_texts(questions) @ pictures.T
    return [*figures, _text_floor(asked, scores[right]), _image_floor(pictures, copies, kinds)]


def _ranked(name: str, scores: Scores, right: npt.NDArray[np.bool_]) -> Figure:
    order = np.argsort(-scores, axis=1)
    ranks = np.take_along_axis(right, order, axis=1).argmax(axis=1) + 1
    return Figure(
        name=name,
        value=round(float((ranks == 1).mean()), 3),
        unit="of queries",
        quality={"queries": len(ranks), "mean reciprocal rank": round(float((1 / ranks).mean()), 3)},
    )


def _neighbours(pictures: Vectors, kinds: Sequence[set[str]]) -> Figure:
    scores = pictures @ pictures.T
    np.fill_diagonal(scores, -1)
    nearest = scores.argmax(axis=1)
    agreed = [bool(kinds[index] & kinds[other]) for index, other in enumerate(nearest) if kinds[index]]
    return Figure(
        name="nearest other picture is of the same kind",
        value=round(float(np.mean(agreed)), 3),
        unit="of pictures",
        quality={"pictures": len(agreed)},
    )


def _text_floor(asked: Scores, right: Scores) -> Figure:
    floor = float(np.quantile(asked, 1 - WRONG_KEPT))
    return Figure(
        name="floor for words",
        value=round(floor, 2),
        unit="cosine",
        quality={
            "wrong pairs (questions about texts)": asked.size,
            "right pairs": right.size,
            "right pairs above it": round(float((right >= floor).mean()), 3),
        },
    )


def _image_floor(pictures: Vectors, copies: Vectors, kinds: Sequence[set[str]]) -> Figure:
    scores = pictures @ pictures.T
    unlike = np.array([[not (one & other) for other in kinds] for one in kinds])
    floor = float(np.quantile(scores[unlike], 1 - WRONG_KEPT))
    right = (copies * pictures).sum(axis=1)
    return Figure(
        name="floor for pictures",
        value=round(floor, 2),
        unit="cosine",
        quality={
            "wrong pairs (pictures of no common kind)": int(unlike.sum()),
            "right pairs (a picture and its cut)": len(right),
            "right pairs above it": round(float((right >= floor).mean()), 3),
        },
    )


def _text_questions(path: Path) -> list[str]:
    data: dict[str, Any] = tomllib.loads(path.read_text())
    answerable = [one["question"] for one in data["answerable"]]
    return [*answerable, *data["near_miss"], *data["off_topic"]]


def _changed(image: RgbImage) -> RgbImage:
    height_px, width_px = image.shape[:2]
    top_px, left_px = int(height_px * _CUT), int(width_px * _CUT)
    cut = Image.fromarray(image[top_px : height_px - top_px, left_px : width_px - left_px])
    buffer = io.BytesIO()
    cut.save(buffer, "JPEG", quality=_QUALITY)
    return np.asarray(Image.open(buffer).convert("RGB"))
