"""The values in which work is planned and progress is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """A step to be made.

    Attributes:
        kind: probe, parse, ocr, speech, describe, segment, embed or write.
        key: What of the job it covers; unique with ``kind``, so that planning twice makes one step.
        stage: It runs when every step of the lower stages is done.
        parameters: JSON that the step needs.
    """

    kind: str
    key: str
    stage: int
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is.

    Attributes:
        done: Steps done.
        total: Steps known so far; a stage that ends may add more.
        stage: Kind of the steps that run now, empty when the job has ended.
        percent: ``done`` of ``total``; 100 only when the job is done.
    """

    done: int
    total: int
    stage: str
    percent: int
