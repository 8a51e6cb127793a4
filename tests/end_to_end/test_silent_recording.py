"""A recording in which nobody speaks is a document without anything to find, and not a failure."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from tests.running_stack import Stack

pytestmark = pytest.mark.weights


def recorded(path: Path, sound: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(16_000)
        opened.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


class TestSilentRecording:
    def test_is_ready_without_segments_and_says_why(self, stack: Stack, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).normal(0, 0.003, 16_000 * 7)
        files = [recorded(tmp_path / "silence.wav", np.zeros(16_000 * 5)), recorded(tmp_path / "hum.wav", noise)]

        documents = stack.ingest(files, collection="silence")

        assert [(one["state"], one["segments"], one["error"]) for one in documents] == [("ready", 0, None)] * 2
        assert [one["note"] for one in documents] == [
            f"no speech was found in {length_s} s of sound, so there is nothing to search for" for length_s in (5, 7)
        ]

    def test_without_a_single_sample_fails_with_a_sentence(self, stack: Stack, tmp_path: Path) -> None:
        (document,) = stack.ingest([recorded(tmp_path / "nothing.wav", np.zeros(0))], collection="silence")

        assert document["state"] == "failed"
        assert document["error"]["message"]
