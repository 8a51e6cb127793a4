"""Is what the embedded describer says of real pictures true, and does the shared space find pictures by words?"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.anchor import anchor
from benchmarks.picture_material import Entry, Manifest, Material
from benchmarks.picture_retrieval import retrieval
from benchmarks.picture_scoring import Checked, Labels, checked
from benchmarks.report import Figure, report
from core.settings.env import REPOSITORY, env
from inference.preprocessing.picture_head import HEAD_FILE
from inference.protocols import TextRecognizer, VisionDescriber
from inference.registry import engine_load
from inference.values import Box, PictureToDescribe, RgbImage, TextLine
from models_local.catalog import catalog_read

FOLDER = REPOSITORY / "benchmarks" / "pictures"
MODELS = ("efficientnet-lite0", "all-minilm-l6-v2", "pp-ocrv6", "page-orientation")
FIRST_RUN = {
    "commit": "891819b",
    "without a false statement": 0.82,
    "two or more true statements": 1.0,
    "two or more, counting no absences": 0.72,
    "kind stated rightly": 0.52,
    "statements checked": 666,
    "true": 646,
}
"""What the first scored run found. Of its 20 false statements 12 were "black and white" of pages with a little colour;
that rule alone was changed since, so that later figures are not blind to it."""
SPACES = ("conse", "conse_documents")
THREADS = 2
TIMED = 24


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One picture of the scored set with everything that was said of it."""

    entry: Entry
    caption: str
    statements: Sequence[Checked]

    @property
    def false(self) -> list[Checked]:
        """What was said and is not so."""
        return [one for one in self.statements if one.verdict == "false"]

    @property
    def true(self) -> list[Checked]:
        """What was said and is so."""
        return [one for one in self.statements if one.verdict == "true"]

    def as_json(self) -> dict[str, Any]:
        """Return the picture's part of the result."""
        return {
            "id": self.entry.id,
            "source": self.entry.source,
            "caption": self.caption,
            "statements": [
                f"{one.name} = {one.value[:60]!r} ({one.confidence}): {one.verdict}" for one in self.statements
            ],
        }


def lines_read(reader: TextRecognizer, cache: Path, entry: Entry, image: RgbImage) -> tuple[TextLine, ...]:
    """Return the lines of a picture; reading takes seconds, so that they are kept beside the pictures."""
    kept = cache / "readings" / f"{entry.sha256[:16]}-{entry.page or 0}.json"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        lines = reader.read([image])[0].lines
        kept.write_text(json.dumps([[line.text, line.box.as_list(), line.confidence] for line in lines]))
    return tuple(
        TextLine(text=text, box=Box(x0=box[0], y0=box[1], x1=box[2], y1=box[3]), confidence=confidence)
        for text, box, confidence in json.loads(kept.read_text())
    )


def described(engine: VisionDescriber, reader: TextRecognizer, material: Material, cache: Path) -> list[Described]:
    """Describe the scored set and check every statement."""
    labels = {name: Labels(**one) for name, one in tomllib.loads((FOLDER / "labels.toml").read_text()).items()}
    found = []
    for entry in Manifest.read(FOLDER / "manifest.toml").pictures:
        image = material.image(entry)
        request = PictureToDescribe(image=image, lines=lines_read(reader, cache, entry, image))
        said = engine.describe([request])[0]
        found.append(Described(entry=entry, caption=said.caption, statements=checked(said.facts, labels[entry.id])))
        sys.stderr.write(f"{entry.id} {entry.source}: {said.caption}\n")
        sys.stderr.writelines(
            f"     FALSE {one.name}: {one.value[:80]} ({one.confidence})\n" for one in found[-1].false
        )
    return found


def truth_figures(found: Sequence[Described]) -> list[Figure]:
    """Return how many pictures get no false statement, and how many two or more true ones."""
    count = len(found)
    said = [one for picture in found for one in picture.statements if one.verdict != "not checkable"]
    right = sum(one.verdict == "true" for one in said)
    present = sum(sum(not one.is_absence for one in picture.true) >= 2 for picture in found)
    return [
        Figure(
            name="pictures without a false statement",
            value=round(sum(not picture.false for picture in found) / count, 3),
            unit="of pictures",
            goal=0.9,
            quality={"statements checked": len(said), "true": right},
        ),
        Figure(
            name="pictures with two or more true statements",
            value=round(sum(len(picture.true) >= 2 for picture in found) / count, 3),
            unit="of pictures",
            goal=0.6,
            quality={"counting no absences": round(present / count, 3)},
        ),
        Figure(
            name="pictures whose kind is stated rightly",
            value=round(sum(any(one.name == "kind" for one in picture.true) for picture in found) / count, 3),
            unit="of pictures",
            quality={"stated wrongly": sum(any(one.name == "kind" for one in picture.false) for picture in found)},
        ),
    ]


def speed_figure(engine: VisionDescriber, images: Sequence[RgbImage]) -> Figure:
    """Return the time of describing one picture, without reading its text."""
    times_ms = []
    for image in images:
        begun_s = time.perf_counter()
        engine.describe([PictureToDescribe(image=image)])
        times_ms.append((time.perf_counter() - begun_s) * 1000)
    return Figure(
        name="describing one picture besides OCR",
        value=round(float(np.median(times_ms))),
        unit="ms",
        better="lower",
        quality={"slowest": round(max(times_ms))},
        anchor=anchor(),
    )


def main() -> dict[str, Any]:
    """Measure both and store the result."""
    cache = env().home / "pictures"
    manifest = Manifest.read(FOLDER / "manifest.toml")
    material = Material(cache, manifest)
    store = env().weights
    engine: Any = engine_load("composed_describer", [store / "efficientnet-lite0"], threads=THREADS)
    reader: Any = engine_load("rapidocr", [store / "pp-ocrv6", store / "page-orientation"], threads=THREADS)
    found = described(engine, reader, material, cache)
    images = [material.image(entry) for entry in manifest.pictures[:: len(manifest.pictures) // TIMED]]
    figures = [*truth_figures(found), speed_figure(engine, images)]
    recipes = {"composed_describer": engine.recipe_version}
    for name in SPACES:
        space: Any = engine_load(name, [store / "efficientnet-lite0", store / "all-minilm-l6-v2"], threads=THREADS)
        recipes[name] = space.recipe_version
        figures += [
            dataclasses.replace(one, name=f"{name}: {one.name}") for one in retrieval(space, material, manifest)
        ]
    catalog = catalog_read(REPOSITORY / "configs" / "models.toml")
    return report(
        "pictures",
        figures,
        first_run=FIRST_RUN,
        sources=len(manifest.sources),
        models={name: catalog.model(name).digest for name in MODELS},
        head_sha256=hashlib.sha256(HEAD_FILE.read_bytes()).hexdigest(),
        recipes=recipes,
        pictures=[picture.as_json() for picture in found],
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(), indent=2, default=str) + "\n")
