"""Reads the text in a batch of pictures, and the layout of those that are pages of text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from core.jobs.service import StepPlan
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import Material, picture_load, value_store
from gpu_worker.steps import stages
from inference.values import LayoutRegion, PageReading, RgbImage

PICTURES_PER_STEP = 4
LETTERS_MIN = 3
"""A letter or two in a whole picture is an eye or a button that looks like one."""

LETTER_SHARE_MIN = 0.5
"""A line of mostly stars and strokes is a pattern."""

_TOGETHER = re.compile(r"[^\W_]{2,}")

LAYOUT_LINES_MIN = 6
"""Fewer lines have no layout worth finding."""


def ocr_plans(material: Material) -> list[StepPlan]:
    """Plan the reading of every picture whose text is not known."""
    wanted = [found for found in material.pictures() if found.picture.needs_ocr]
    return [
        StepPlan(
            kind="ocr",
            key=str(start // PICTURES_PER_STEP),
            stage=stages.READ,
            parameters={"pictures": {one.key: one.sha256 for one in wanted[start : start + PICTURES_PER_STEP]}},
        )
        for start in range(0, len(wanted), PICTURES_PER_STEP)
    ]


def ocr(context: StepContext) -> StepOutcome:
    """Read the step's pictures."""
    keys = sorted(context.parameters["pictures"])
    images = [picture_load(context.parameters["pictures"][key]) for key in keys]
    with context.engines.lease(role="ocr") as engine:
        readings = [trusted(reading) for reading in engine.read(images)]
    regions = _regions(context, images, readings)
    found = {
        key: (reading, list(regions.get(index, ())))
        for index, (key, reading) in enumerate(zip(keys, readings, strict=True))
    }
    return StepOutcome(result={"readings": value_store(context.step, found), "pictures": len(keys)})


def trusted(reading: PageReading) -> PageReading:
    """Leave out lines that are patterns, and all where no word and no number is among them."""
    lines = tuple(line for line in reading.lines if _letters(line.text) >= LETTER_SHARE_MIN * len(line.text.strip()))
    letters = sum(_letters(line.text) for line in lines)
    # Coins, wheels and windows are read as rows of single O, C and 0: nothing among them is a word or a number.
    speaks = any(len(set(found.casefold())) > 1 for line in lines for found in _TOGETHER.findall(line.text))
    return dataclasses.replace(reading, lines=lines if speaks and letters >= LETTERS_MIN else ())


def _letters(text: str) -> int:
    return sum(character.isalnum() for character in text)


def _regions(
    context: StepContext, images: list[RgbImage], readings: Sequence[PageReading]
) -> dict[int, tuple[LayoutRegion, ...]]:
    pages = [index for index, reading in enumerate(readings) if _is_upright_page(reading)]
    if not pages:
        return {}
    with context.engines.lease(role="layout") as engine:
        return dict(zip(pages, engine.detect([images[index] for index in pages]), strict=True))


def _is_upright_page(reading: PageReading) -> bool:
    # The layout model knows upright pages only, and boxes are in the frame of the picture as it came.
    return reading.rotation_deg == 0 and len(reading.lines) >= LAYOUT_LINES_MIN
