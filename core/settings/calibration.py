"""Reads configs/calibration.toml: floors and thresholds fitted on labelled data, never guessed at run time."""

from __future__ import annotations

import dataclasses
import functools
import tomllib

from core.settings.env import REPOSITORY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Cosines below which a leg's hits do not enter the fusion."""

    text: float
    image: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Logistic regression over the evidence; below ``threshold`` the question is refused before generation."""

    intercept: float
    coverage_weight: float
    similarity_weight: float
    news_weight: float
    threshold: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """How a sentence is matched to a span.

    Attributes:
        lexical_share: Weight of lexical support; the rest is the cosine's.
        news_share: Share of the words that the sentence adds to the question which the span must hold.
        threshold: Support that counts as enough.
    """

    lexical_share: float
    news_share: float
    threshold: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Everything that was calibrated."""

    floors: dict[str, Floors]
    refusal: Refusal
    attribution: Attribution


@functools.cache
def calibration() -> Calibration:
    """Return the calibration of this installation; floors are keyed by ``<space name>.<engine>``."""
    data = tomllib.loads((REPOSITORY / "configs" / "calibration.toml").read_text())
    floors = {
        f"{space}.{engine}": Floors(**values)
        for space, engines in data["floors"].items()
        for engine, values in engines.items()
    }
    return Calibration(
        floors=floors, refusal=Refusal(**data["refusal"]), attribution=Attribution(**data["attribution"])
    )
