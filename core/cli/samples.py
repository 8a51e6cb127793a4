"""The sample collection: what each file holds, and what must be found in it."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

from core.settings.env import REPOSITORY

SAMPLES = REPOSITORY / "configs" / "samples"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One check of the demo.

    Attributes:
        file: Name in configs/samples.
        modality: What the table calls it.
        query: Words to search for; the file must be the first hit.
        question: What to ask.
        expected: Words that the answer must hold, compared without case.
        anchor: Family of the citation's anchor: page, time, frame, sheet or chars.
    """

    file: str
    modality: str
    query: str
    question: str
    expected: tuple[str, ...]
    anchor: str

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return SAMPLES / self.file


def samples() -> list[Sample]:
    """Read configs/samples/manifest.toml."""
    data = tomllib.loads((SAMPLES / "manifest.toml").read_text())
    names = {field.name for field in dataclasses.fields(Sample)}
    return [
        Sample(**{**{key: value for key, value in one.items() if key in names}, "expected": tuple(one["expected"])})
        for one in data["samples"]
    ]
