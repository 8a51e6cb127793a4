from __future__ import annotations

import pytest

from core.api.captions import KeptSound
from inference.values import LIVE_WINDOW_MAX_S, SAMPLE_RATE_HZ


def seconds(length_s: float) -> bytes:
    return b"\x01\x00" * round(length_s * SAMPLE_RATE_HZ)


class TestKeptSound:
    def test_counts_time_from_the_start_of_the_session(self) -> None:
        sound = KeptSound()

        sound.append(seconds(5.0))
        sound.let_go(3.5)
        sound.append(seconds(1.0))

        assert (sound.keep_from_s, sound.end_s) == (3.5, 6.0)
        assert len(sound.window()) == len(seconds(2.5))

    def test_gives_no_pass_more_than_a_window(self) -> None:
        sound = KeptSound()

        sound.append(seconds(40.0))

        assert len(sound.window()) == len(seconds(LIVE_WINDOW_MAX_S))

    def test_loses_no_sample_over_many_small_steps(self) -> None:
        sound = KeptSound()

        for step in range(1, 1001):
            sound.append(seconds(0.25))
            sound.let_go(step * 0.25 - 0.1003)

        assert sound.end_s == pytest.approx(250.0, abs=1 / SAMPLE_RATE_HZ)
        assert len(sound.window()) == pytest.approx(len(seconds(0.1003)), abs=2)
