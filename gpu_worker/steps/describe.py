"""Describes a batch of pictures from their pixels and the text that was read in them."""

from __future__ import annotations

from core.jobs.service import StepPlan
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import Material, picture_load, value_store
from gpu_worker.steps import stages
from inference.values import PictureToDescribe

PICTURES_PER_STEP = 8


def describe_plans(material: Material) -> list[StepPlan]:
    """Plan the description of every picture that needs a caption."""
    wanted = [found for found in material.pictures() if found.picture.needs_caption]
    return [
        StepPlan(
            kind="describe",
            key=str(start // PICTURES_PER_STEP),
            stage=stages.RELATE,
            parameters={"pictures": {one.key: one.sha256 for one in wanted[start : start + PICTURES_PER_STEP]}},
        )
        for start in range(0, len(wanted), PICTURES_PER_STEP)
    ]


def describe(context: StepContext) -> StepOutcome:
    """Describe the step's pictures."""
    keys = sorted(context.parameters["pictures"])
    readings = context.material.readings()
    pictures = [
        PictureToDescribe(
            image=picture_load(context.parameters["pictures"][key]),
            lines=readings[key].reading.lines if key in readings else (),
        )
        for key in keys
    ]
    with context.engines.lease(role="vision") as engine:
        descriptions = engine.describe(pictures)
    found = dict(zip(keys, descriptions, strict=True))
    return StepOutcome(result={"found": value_store(context.step, found), "pictures": len(keys)})
