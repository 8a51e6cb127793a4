"""Recordings with known words: the committed ones of real people, with pauses between them."""

from __future__ import annotations

import dataclasses
import tomllib

import av
import numpy as np

from core.settings.env import REPOSITORY
from inference.values import SAMPLE_RATE_HZ, Waveform

FOLDER = REPOSITORY / "tests" / "engines" / "files" / "speech"
PAUSE_S = 0.6


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Sound and what is said in it."""

    sound: Waveform
    text: str

    @property
    def duration_s(self) -> float:
        """Length."""
        return len(self.sound) / SAMPLE_RATE_HZ


def recordings() -> list[Spoken]:
    """Return the committed recordings, in the order of their list."""
    listed = tomllib.loads((FOLDER / "recordings.toml").read_text())["recordings"]
    return [Spoken(sound=_read(one["file"]), text=one["text"]) for one in listed]


def joined(spoken: list[Spoken]) -> Spoken:
    """Put recordings one after the other, with a pause after each."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    return Spoken(
        sound=np.concatenate([piece for one in spoken for piece in (one.sound, pause)]),
        text=" ".join(one.text for one in spoken),
    )


def _read(name: str) -> Waveform:
    with av.open(str(FOLDER / name)) as container:
        pieces = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.asarray(np.concatenate(pieces).astype(np.float32) / 32768.0, dtype=np.float32)
