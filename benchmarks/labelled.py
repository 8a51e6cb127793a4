"""The labelled questions of tests/labelled and the files they are about."""

from __future__ import annotations

import dataclasses
import tomllib

from core.settings.env import REPOSITORY

FOLDER = REPOSITORY / "tests" / "labelled"
SAMPLES = REPOSITORY / "configs" / "samples"

NOT_SAMPLES = frozenset({".toml", ".py"})
"""The samples' generator and manifest hold the questions themselves."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One labelled question.

    Attributes:
        expected: Words that a right answer holds; None where nothing in the files answers it.
        for_fitting: Whether thresholds and weights may be fitted on it; the others are reported on.
        source: The file and list it stands in.
    """

    text: str
    expected: str | None
    for_fitting: bool
    source: str


def questions() -> list[Question]:
    """Return every labelled question; every second one of each list is for fitting."""
    found = []
    for name in ("questions", "public"):
        data = tomllib.loads((FOLDER / f"{name}.toml").read_text())
        for index, one in enumerate(data["answerable"]):
            found.append(
                Question(
                    text=one["question"],
                    expected=one["expected"],
                    for_fitting=index % 2 == 0,
                    source=f"{name}.answerable",
                )
            )
        for group in ("near_miss", "off_topic"):
            found += [
                Question(text=text, expected=None, for_fitting=index % 2 == 0, source=f"{name}.{group}")
                for index, text in enumerate(data[group])
            ]
    return found


def files() -> list[str]:
    """Return the files and folders that the questions are about, relative to the repository."""
    samples = [path for path in sorted(SAMPLES.iterdir()) if path.is_file() and path.suffix not in NOT_SAMPLES]
    folders = [REPOSITORY / "tests" / "formats" / "files", FOLDER / "files"]
    return [str(path.relative_to(REPOSITORY)) for path in (*samples, *folders)]
