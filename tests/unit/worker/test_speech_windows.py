"""A long recording is heard in windows that overlap by what their neighbours share."""

from __future__ import annotations

import dataclasses

from gpu_worker.material import SoundWindow
from gpu_worker.steps.speech import speech_plans


@dataclasses.dataclass
class Recordings:
    """The sounds of a document as its parse steps left them."""

    windows: list[SoundWindow]

    def sounds(self) -> list[SoundWindow]:
        return self.windows


def window(part: int, number: int) -> SoundWindow:
    return SoundWindow(
        key=f"{part}:{number}", part_ordinal=part, start_s=600.0 * number, sha256=f"sound-{part}-{number}"
    )


class TestSpeechPlans:
    def test_give_every_window_the_beginning_of_the_next_one_of_its_part(self) -> None:
        plans = speech_plans(Recordings([window(0, 0), window(0, 1), window(0, 2), window(1, 0)]))  # type: ignore[arg-type]

        assert [(plan.key, plan.parameters["follows"], plan.parameters["next_sound"]) for plan in plans] == [
            ("0:0", False, "sound-0-1"),
            ("0:1", True, "sound-0-2"),
            ("0:2", True, None),
            ("1:0", False, None),
        ]
