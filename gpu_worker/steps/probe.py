"""Finds out what each part is from its bytes, and plans how it is parsed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import PurePath

from core.documents.models import Part
from core.documents.service import TEXT_MEDIA_TYPE
from core.documents.storage import blob_path
from core.jobs.service import StepPlan, part_describe
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.steps import stages
from inference.values import SourceInfo

UNITS_PER_STEP = 8
WINDOW_S = 600.0
_BY_UNITS = ("pdf", "tiff")
_MEDIA = ("audio", "video")
_INLINE_TEXT = SourceInfo(media_type=TEXT_MEDIA_TYPE, family="text", extension="txt")


def probe(context: StepContext) -> StepOutcome:
    """Probe every part of the document and plan its parse steps."""
    plans = [plan for part in context.parts() for plan in parse_plans(part, part_probe(context, part))]
    return StepOutcome(result={"planned": len(plans)}, next_steps=plans)


def part_probe(context: StepContext, part: Part) -> SourceInfo:
    """Say what a part is and store it with the part.

    Raises:
        InputRejected: It is nothing that can be read; the sentence names it.
    """
    if part.inline:
        info = _INLINE_TEXT
    else:
        with context.sandboxes.lease(context.owner) as sandbox:
            info = sandbox.probe(
                blob_path(part.blob_id), extension_hint=PurePath(part.name).suffix.lstrip("."), name=part.name
            )
    assert context.step.lease_token is not None
    part_describe(step_id=context.step.pk, lease_token=context.step.lease_token, part_id=part.pk, info=info)
    return info


def parse_plans(part: Part, info: SourceInfo) -> list[StepPlan]:
    """Cut a part into ranges, one parse step each."""
    return [
        StepPlan(
            kind="parse",
            key=f"{part.ordinal}:{index}",
            stage=stages.PARSE,
            parameters={"part": str(part.pk), "info": dataclasses.asdict(info), **wanted},
        )
        for index, wanted in enumerate(_ranges(info))
    ]


def _ranges(info: SourceInfo) -> Iterator[dict[str, float | int | None]]:
    if info.extension in _BY_UNITS:
        for first in range(1, info.units + 1, UNITS_PER_STEP):
            yield {"first_unit": first, "last_unit": min(first + UNITS_PER_STEP - 1, info.units)}
    elif info.family in _MEDIA and info.duration_s and info.duration_s > WINDOW_S:
        windows = math.ceil(info.duration_s / WINDOW_S)
        for index in range(windows):
            # The last window is open: a container's stated duration is often a little short.
            end_s = (index + 1) * WINDOW_S if index + 1 < windows else None
            yield {"first_unit": 1, "start_s": index * WINDOW_S, "end_s": end_s}
    else:
        yield {"first_unit": 1}
