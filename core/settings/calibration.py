"""Reads configs/calibration.toml: floors and thresholds fitted on labelled data, never guessed at run time."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Mapping

from core.settings.env import REPOSITORY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Cosines below which a leg's hits do not enter the fusion."""

    text: float
    image: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How evidence is weighed in one language; the features' names are those of ``core.answers.features``.

    Attributes:
        ranking: Weights by which the span that answers best is found.
        deciding: Weights of a logistic regression over that span's features.
        intercept: Of that regression.
        threshold: Probability below which the question is refused before generation.
    """

    ranking: Mapping[str, float]
    deciding: Mapping[str, float]
    intercept: float
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
    refusal: Mapping[str, Refusal]
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
    refusal = {language: Refusal(**values) for language, values in data["refusal"].items()}
    return Calibration(floors=floors, refusal=refusal, attribution=Attribution(**data["attribution"]))
