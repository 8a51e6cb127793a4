"""Embeds a batch of segments into one space of this host's profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.access.acting import acting_as_system
from core.jobs.service import StepPlan
from core.segments.models import EmbeddingSpace
from core.segments.space_spec import space_specs
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.drafts import DraftRecord, drafts_load
from gpu_worker.material import Material, picture_load, vectors_store
from gpu_worker.steps import stages
from inference.errors import EngineBroken, EngineUnavailable
from inference.values import Vectors

TEXTS_PER_STEP = 64
PICTURES_PER_STEP = 16
HEADINGS_EMBEDDED = 2
"""How many of the innermost headings are embedded before the text: they say what a short passage is about."""


def embed_plans(material: Material) -> list[StepPlan]:
    """Plan batches of texts for the ``text`` space and of pictures for the ``image_text`` space."""
    drafts = drafts_load(material)
    texts = [draft.ordinal for draft in drafts if draft.text]
    pictures = [draft.ordinal for draft in drafts if draft.picture_sha256]
    return [*_plans("text", texts, TEXTS_PER_STEP), *_plans("image_text", pictures, PICTURES_PER_STEP)]


def _plans(space: str, ordinals: Sequence[int], size: int) -> list[StepPlan]:
    if space not in space_specs():
        return []
    return [
        StepPlan(
            kind="embed",
            key=f"{space}:{start // size}",
            stage=stages.EMBED,
            parameters={"space": space, "ordinals": list(ordinals[start : start + size])},
        )
        for start in range(0, len(ordinals), size)
    ]


def embed(context: StepContext) -> StepOutcome:
    """Embed the step's segments."""
    name: str = context.parameters["space"]
    space = space_of(name)
    by_ordinal = {draft.ordinal: draft for draft in drafts_load(context.material)}
    drafts = [by_ordinal[ordinal] for ordinal in context.parameters["ordinals"]]
    vectors = _texts(context, drafts) if name == "text" else _pictures(context, drafts)
    if vectors.shape != (len(drafts), space.dimensions) or not np.isfinite(vectors).all():
        raise EngineBroken(
            f"role '{name}' gave vectors of shape {vectors.shape} for {len(drafts)} segments in a space of "
            f"{space.dimensions} dimensions"
        )
    result: dict[str, Any] = {
        "space_id": space.pk,
        "ordinals": context.parameters["ordinals"],
        "vectors": vectors_store(context.step, vectors),
    }
    return StepOutcome(result=result)


def space_of(name: str) -> EmbeddingSpace:
    """Return the space that this host's engine for ``name`` embeds into; a vector always says which space it is in.

    Raises:
        EngineUnavailable: That space was not made yet.
    """
    spec = space_specs()[name]
    with acting_as_system():
        space = EmbeddingSpace.objects.filter(digest=spec.digest).first()
    if space is None:
        raise EngineUnavailable(
            f"the embedding space '{name}' {spec.digest[:12]} does not exist; run './manage.py spaces_ensure'"
        )
    return space


def text_embedded(draft: DraftRecord) -> str:
    """Return what of a segment is embedded: its innermost headings, then its text."""
    headings = " > ".join(draft.heading_path[-HEADINGS_EMBEDDED:])
    return f"{headings}\n{draft.text}" if headings and draft.kind != "image" else draft.text


def _texts(context: StepContext, drafts: Sequence[DraftRecord]) -> Vectors:
    with context.engines.lease(role="text") as engine:
        return engine.embed_texts([text_embedded(draft) for draft in drafts])


def _pictures(context: StepContext, drafts: Sequence[DraftRecord]) -> Vectors:
    with context.engines.lease(role="image_text") as engine:
        return engine.embed_images([picture_load(draft.picture_sha256) for draft in drafts])
