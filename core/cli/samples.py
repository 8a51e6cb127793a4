"""The sample collection: what each file holds, and what must be found in it."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from core.settings.env import REPOSITORY

SAMPLES = REPOSITORY / "configs" / "samples"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the demo's table.

    Attributes:
        file: Name in configs/samples.
        modality: What the table calls it.
        kind: Kind of the segment that holds the fact.
        query: Words to search for; the file must be the first hit.
        question: What to ask.
        expected: Words that the answer must hold, compared without case.
        anchor: Family of the citation's anchor: page, time, frame, sheet or chars.
    """

    file: str
    modality: str
    kind: str
    query: str
    question: str
    expected: tuple[str, ...]
    anchor: str


def sample_files() -> list[Path]:
    """Return the files of the collection."""
    return [SAMPLES / one["file"] for one in _manifest()]


def sample_checks() -> list[Check]:
    """Return what must be found in them."""
    return [
        Check(file=one["file"], **{**check, "expected": tuple(check["expected"])})
        for one in _manifest()
        for check in one["checks"]
    ]


def _manifest() -> list[dict[str, Any]]:
    manifest: list[dict[str, Any]] = tomllib.loads((SAMPLES / "manifest.toml").read_text())["samples"]
    return manifest
