"""Reads one range of one part in the sandbox and keeps what came out as artefacts."""

from __future__ import annotations

from typing import Any

from core.access.acting import acting_as_system
from core.documents.models import Part
from core.documents.storage import blob_path
from core.jobs.service import StepPlan, part_add
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import bytes_store, value_store
from gpu_worker.steps.probe import parse_plans, part_probe
from inference.errors import InputRejected
from inference.values import Extraction, SourceInfo

NESTING_MAX = 3
"""How deep files inside files are followed."""


def parse(context: StepContext) -> StepOutcome:
    """Parse the step's range; files found inside become parts with parse steps of their own."""
    with acting_as_system():
        part = Part.objects.get(pk=context.parameters["part"])
        depth = _depth(part)
    skipped: list[dict[str, str]] = []
    try:
        extraction, contents = _extract(context, part)
    except InputRejected as error:
        if depth == 0:
            raise
        # A file inside a file that cannot be read does not take the outer one along; the result says so.
        extraction, contents = Extraction(), {}
        skipped.append(_reason(part.name, error))
    plans = _attachments(context, part, extraction, contents, skipped) if depth < NESTING_MAX else []
    inside = {artefact for _, artefact in extraction.attachments}
    result = {
        "part": part.ordinal,
        "extraction": value_store(context.step, extraction),
        "artefacts": {
            name: bytes_store(context.step, content) for name, content in contents.items() if name not in inside
        },
        "skipped": skipped,
    }
    return StepOutcome(result=result, next_steps=plans)


def _extract(context: StepContext, part: Part) -> tuple[Extraction, dict[str, bytes]]:
    wanted = context.parameters
    with context.sandboxes.lease(context.owner) as sandbox:
        return sandbox.parse(
            blob_path(part.blob_id),
            SourceInfo(**wanted["info"]),
            first_unit=wanted.get("first_unit", 1),
            last_unit=wanted.get("last_unit"),
            start_s=wanted.get("start_s"),
            end_s=wanted.get("end_s"),
            name=part.name,
        )


def _attachments(
    context: StepContext,
    part: Part,
    extraction: Extraction,
    contents: dict[str, bytes],
    skipped: list[dict[str, str]],
) -> list[StepPlan]:
    assert context.step.lease_token is not None
    plans: list[StepPlan] = []
    for name, artefact in extraction.attachments:
        inner = part_add(
            step_id=context.step.pk,
            lease_token=context.step.lease_token,
            inside_of_id=part.pk,
            name=name,
            content=contents[artefact],
        )
        try:
            plans.extend(parse_plans(inner, part_probe(context, inner)))
        except InputRejected as error:
            skipped.append(_reason(name, error))
    return plans


def _depth(part: Part) -> int:
    depth = 0
    while part.inside_of is not None:
        part = part.inside_of
        depth += 1
    return depth


def _reason(name: str, error: InputRejected) -> dict[str, Any]:
    return {"name": name, "code": error.code, "message": str(error)}
