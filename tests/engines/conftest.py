"""Fixtures of the engines' lane: the model store, and the files that were drawn and spoken for these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from core.settings.env import env
from inference.values import RgbImage, Waveform

FILES = Path(__file__).parent / "files"


@pytest.fixture(scope="session")
def model_folder() -> Callable[[str], Path]:
    """Return the folder of a model in the store; a model that is missing fails the test."""

    def folder(name: str) -> Path:
        found = env().weights / name
        assert found.is_dir(), f"model '{name}' is not in '{env().weights}'; fetch the embedded models first"
        return found

    return folder


@pytest.fixture(scope="session")
def picture() -> Callable[[str], RgbImage]:
    """Read a picture of the ``files`` folder."""

    def read(name: str) -> RgbImage:
        with Image.open(FILES / name) as image:
            return np.asarray(image.convert("RGB"))

    return read


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Waveform]:
    """Read a recording of the ``files`` folder; all are mono, 16 kHz, 16 bit."""

    def read(name: str) -> Waveform:
        with av.open(str(FILES / name)) as container:
            frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        sound = np.concatenate([frame.reshape(-1) for frame in frames])
        return (sound.astype(np.float32) / 32768.0).astype(np.float32)

    return read
