"""Pages of known text, drawn with the font that Pillow carries and worn a little as a scanner does."""

from __future__ import annotations

import dataclasses
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.settings.env import REPOSITORY
from inference.values import RgbImage

WIDTH_PX, HEIGHT_PX = 1240, 1754
"""A4 at 150 dpi."""

MARGIN_PX = 110
FONT_PX = (22, 26, 30)
LINES = 34
LINE_SPACING = 1.45
NOISE = 6.0
TILT_DEG = 0.3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPage:
    """A picture of text and its lines."""

    image: RgbImage
    text: str


def drawn_pages(count: int, *, seed: int = 0) -> list[DrawnPage]:
    """Draw pages of the project's own prose, each in one of a few sizes; the same seed gives the same pixels."""
    random = np.random.default_rng(seed)
    words = (REPOSITORY / "LICENSE").read_text(encoding="utf-8").split()
    pages = []
    for number in range(count):
        size_px = FONT_PX[number % len(FONT_PX)]
        letters = round((WIDTH_PX - 2 * MARGIN_PX) / (0.52 * size_px))
        start = int(random.integers(0, len(words) - 1200))
        lines = textwrap.wrap(" ".join(words[start : start + 1200]), letters)[:LINES]
        pages.append(_page(lines, size_px, random))
    return pages


def _page(lines: list[str], size_px: int, random: np.random.Generator) -> DrawnPage:
    page = Image.new("L", (WIDTH_PX, HEIGHT_PX), 250)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=size_px)
    for number, line in enumerate(lines):
        draw.text((MARGIN_PX, MARGIN_PX + number * size_px * LINE_SPACING), line, font=font, fill=20)
    tilted = page.rotate(float(random.uniform(-TILT_DEG, TILT_DEG)), Image.Resampling.BICUBIC, fillcolor=250)
    worn = np.asarray(tilted, dtype=np.float32) + random.normal(0, NOISE, (HEIGHT_PX, WIDTH_PX))
    grey = worn.clip(0, 255).astype(np.uint8)
    return DrawnPage(image=np.stack([grey] * 3, axis=2), text="\n".join(lines))
