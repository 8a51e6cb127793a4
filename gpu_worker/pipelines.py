"""How a document becomes segments: one step kind per line, one stage after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from core.jobs.service import StepPlan
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import Material
from gpu_worker.steps import stages
from gpu_worker.steps.describe import describe, describe_plans
from gpu_worker.steps.embed import embed, embed_plans
from gpu_worker.steps.ocr import ocr, ocr_plans
from gpu_worker.steps.parse import parse
from gpu_worker.steps.probe import probe
from gpu_worker.steps.segment import segment, segment_plans
from gpu_worker.steps.speakers import speakers, speakers_plans
from gpu_worker.steps.speech import speech, speech_plans
from gpu_worker.steps.write import write, write_plans

STEPS: dict[str, Callable[[StepContext], StepOutcome]] = {
    "probe": probe,
    "parse": parse,
    "ocr": ocr,
    "speech": speech,
    "speakers": speakers,
    "describe": describe,
    "segment": segment,
    "embed": embed,
    "write": write,
}

PLANS: Sequence[tuple[int, Sequence[Callable[[Material], list[StepPlan]]]]] = (
    (stages.READ, (ocr_plans, speech_plans)),
    (stages.RELATE, (speakers_plans, describe_plans)),
    (stages.SEGMENT, (segment_plans,)),
    (stages.EMBED, (embed_plans,)),
    (stages.WRITE, (write_plans,)),
)


def stage_plan(job_id: UUID, finished: int) -> list[StepPlan]:
    """Return the steps of the next stage that has any; none after the last.

    Called when every step up to the stage ``finished`` is done.
    """
    material = Material.of_job(job_id)
    for stage, planners in PLANS:
        if stage <= finished:
            continue
        plans = [plan for planner in planners for plan in planner(material)]
        if plans:
            return plans
    return []
