"""Puts the document's segments and vectors in place of what it had, in one transaction."""

from __future__ import annotations

import dataclasses
from uuid import UUID

from django.utils import timezone

from core.jobs.service import StepPlan
from core.segments.models import EmbeddingSpace
from core.segments.service import SegmentDraft, segments_replace
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.drafts import drafts_load
from gpu_worker.material import Material, vectors_load
from gpu_worker.steps import stages
from inference.values import Vectors


def write_plans(material: Material) -> list[StepPlan]:  # noqa: ARG001 - every stage is planned from the material
    """Plan the one step that writes."""
    return [StepPlan(kind="write", key="0", stage=stages.WRITE)]


def write(context: StepContext) -> StepOutcome:
    """Write the segments of the document."""
    vectors: dict[int, dict[int, Vectors | None]] = {}
    # A space may have been dropped since its step was planned.
    spaces = set(EmbeddingSpace.objects.values_list("pk", flat=True))
    for _, result in context.material.results("embed"):
        if result["space_id"] not in spaces:
            continue
        rows = vectors_load(result["vectors"])
        for ordinal, row in zip(result["ordinals"], rows, strict=True):
            vectors.setdefault(ordinal, {})[result["space_id"]] = row
    drafts = [
        SegmentDraft(
            **dataclasses.asdict(draft) | {"part_id": UUID(draft.part_id)}, vectors=vectors.get(draft.ordinal, {})
        )
        for draft in drafts_load(context.material)
    ]
    assert context.step.lease_token is not None
    segment_ids = segments_replace(
        document_id=context.document.pk,
        step_id=context.step.pk,
        lease_token=context.step.lease_token,
        drafts=drafts,
        now=timezone.now(),
    )
    return StepOutcome(result={"segments": len(segment_ids)})
