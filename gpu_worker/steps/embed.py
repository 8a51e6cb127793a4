"""Embeds a batch of segments into one space of this host's profile; where a new space is being built, into both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np

from core.access.acting import acting_as_system
from core.jobs.service import ATTEMPTS, StepPlan
from core.segments.models import EmbeddingSpace, Segment
from core.segments.service import space_active
from core.segments.space_spec import space_specs
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.drafts import DraftRecord, drafts_load
from gpu_worker.engine_pool import EnginePool
from gpu_worker.material import Material, picture_load, vectors_store
from gpu_worker.steps import stages
from inference.errors import EngineBroken, EngineUnavailable, InferenceError
from inference.values import Vectors

logger = logging.getLogger(__name__)

TEXTS_PER_STEP = 64
PICTURES_PER_STEP = 16
HEADINGS_EMBEDDED = 2
"""How many of the innermost headings are embedded before the text: they say what a short passage is about."""


def embed_plans(material: Material) -> list[StepPlan]:
    """Plan batches of texts for the ``text`` spaces and of pictures for the ``image_text`` spaces."""
    drafts = drafts_load(material)
    texts = [draft.ordinal for draft in drafts if draft.text]
    pictures = [draft.ordinal for draft in drafts if draft.picture_sha256]
    plans = []
    for role, spec in space_specs().items():
        if spec.name == "text":
            plans += _plans(role, texts, TEXTS_PER_STEP)
        else:
            plans += _plans(role, pictures, PICTURES_PER_STEP)
    return plans


def _plans(role: str, ordinals: Sequence[int], size: int) -> list[StepPlan]:
    return [
        StepPlan(
            kind="embed",
            key=f"{role}:{start // size}",
            stage=stages.EMBED,
            parameters={"space": role, "ordinals": list(ordinals[start : start + size])},
        )
        for start in range(0, len(ordinals), size)
    ]


def embed(context: StepContext) -> StepOutcome:
    """Embed the step's segments."""
    role: str = context.parameters["space"]
    space = space_of(role)
    if space is None:
        return StepOutcome(result={"space_id": None, "ordinals": [], "vectors": ""})
    by_ordinal = {draft.ordinal: draft for draft in drafts_load(context.material)}
    drafts = [by_ordinal[ordinal] for ordinal in context.parameters["ordinals"]]
    try:
        vectors = vectors_of(drafts, role=role, space=space, engines=context.engines)
    except InferenceError as error:
        if space.active or (error.retryable and context.step.attempts < ATTEMPTS):
            raise
        # A model that is only being tried keeps no document from being read; the next fill finds what it left out.
        logger.warning("space %s lacks %d vectors of a new document: %s", space, len(drafts), error)
        return StepOutcome(result={"space_id": None, "ordinals": [], "vectors": ""})
    result: dict[str, Any] = {
        "space_id": space.pk,
        "ordinals": context.parameters["ordinals"],
        "vectors": vectors_store(context.step, vectors),
    }
    return StepOutcome(result=result)


def space_of(role: str) -> EmbeddingSpace | None:
    """Return the space that this host's engine for ``role`` embeds into; a vector always says which space it is in.

    Returns:
        None where that space was dropped, or not made yet, and another of its name answers searches.

    Raises:
        EngineUnavailable: No space of that name was made yet.
    """
    spec = space_specs()[role]
    with acting_as_system():
        space = EmbeddingSpace.objects.filter(digest=spec.digest).first()
        if space is None and space_active(spec.name) is None:
            raise EngineUnavailable(
                f"the embedding space '{role}' {spec.digest[:12]} does not exist; run './manage.py spaces_ensure'"
            )
    return space


def vectors_of(
    pieces: Sequence[DraftRecord | Segment], *, role: str, space: EmbeddingSpace, engines: EnginePool
) -> Vectors:
    """Embed segments, drafted or stored, into a space.

    Raises:
        EngineBroken: The engine's vectors do not fit the space.
    """
    vectors = _texts(pieces, role, engines) if space.name == "text" else _pictures(pieces, role, engines)
    if vectors.shape != (len(pieces), space.dimensions) or not np.isfinite(vectors).all():
        raise EngineBroken(
            f"role '{role}' gave vectors of shape {vectors.shape} for {len(pieces)} segments in a space of "
            f"{space.dimensions} dimensions"
        )
    return vectors


def text_embedded(draft: DraftRecord | Segment) -> str:
    """Return what of a segment is embedded: its innermost headings, then its text."""
    headings = " > ".join(draft.heading_path[-HEADINGS_EMBEDDED:])
    return f"{headings}\n{draft.text}" if headings and draft.kind != "image" else draft.text


def _texts(pieces: Sequence[DraftRecord | Segment], role: str, engines: EnginePool) -> Vectors:
    with engines.lease(role=cast(Literal["text"], role)) as engine:
        return engine.embed_texts([text_embedded(piece) for piece in pieces])


def _pictures(pieces: Sequence[DraftRecord | Segment], role: str, engines: EnginePool) -> Vectors:
    with engines.lease(role=cast(Literal["image_text"], role)) as engine:
        return engine.embed_images([picture_load(piece.picture_sha256) for piece in pieces])
