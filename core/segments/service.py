"""Segments and their vectors: written as a whole, by the holder of the step alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from core.access.acting import acting_as_system
from core.access.errors import Invalid
from core.documents.models import Document, Part
from core.jobs.artefact import artefacts_collect, artefacts_keep
from core.jobs.models import Step
from core.jobs.steps import LEASE_S, step_held
from core.segments.drafts import SegmentDraft, segment_id
from core.segments.models import EmbeddingSpace, Segment
from core.segments.spaces import (
    SpaceSpec,
    space_activate,
    space_active,
    space_create,
    space_drop,
    space_rollback,
    space_seal,
    spaces_ensure,
)
from core.segments.vectors import ROWS_PER_INSERT, VectorRow, vector_row, vectors_insert

__all__ = [
    "SegmentDraft",
    "SpaceSpec",
    "segment_id",
    "segments_replace",
    "space_activate",
    "space_active",
    "space_create",
    "space_drop",
    "space_rollback",
    "space_seal",
    "spaces_ensure",
]


def segments_replace(
    *, document_id: UUID, step_id: UUID, lease_token: UUID, drafts: Sequence[SegmentDraft], now: datetime
) -> list[UUID]:
    """Put these segments and vectors in place of all that the document had, in one transaction.

    Args:
        document_id: The step's document.
        step_id: The step that writes.
        lease_token: That of its lease.
        drafts: All segments of the document, ordinals unique.
        now: The clock; the write also extends the lease.

    Returns:
        The segments' ids in the order of the drafts; the same drafts give the same ids and rows.

    Raises:
        LeaseLost: The token is not the current one; nothing is changed.
        Invalid: The document is not the step's, or a part, a space or a vector's dimensions are not known to it.
    """
    with acting_as_system():
        job = step_held(step_id, lease_token).job
        if job.document_id != document_id:
            raise Invalid(f"step {step_id} is of document {job.document_id}, not of {document_id}")
        segments = _segments(job.document, drafts)
        vectors = _vectors(segments, drafts)
        Segment.objects.filter(document_id=document_id).delete()
        Segment.objects.bulk_create(segments, batch_size=ROWS_PER_INSERT)
        vectors_insert(vectors)
        Document.objects.filter(pk=document_id).update(language=_language(drafts))
        freed = artefacts_keep(job=job, digests={one.picture_sha256 for one in drafts if one.picture_sha256})
        Step.objects.filter(pk=step_id).update(lease_expires_at=now + timedelta(seconds=LEASE_S))
        transaction.on_commit(lambda: artefacts_collect(freed), robust=True)
    return [segment.pk for segment in segments]


def _segments(document: Document, drafts: Sequence[SegmentDraft]) -> list[Segment]:
    ordinals = dict(Part.objects.filter(document=document).values_list("pk", "ordinal"))
    unknown = {draft.part_id for draft in drafts} - ordinals.keys()
    if unknown:
        raise Invalid(f"document {document.pk} has no part {sorted(map(str, unknown))[0]}")
    return [
        Segment(
            id=segment_id(
                document_id=document.pk,
                part_ordinal=ordinals[draft.part_id],
                kind=draft.kind,
                ordinal=draft.ordinal,
                text=draft.text,
            ),
            document=document,
            collection_id=document.collection_id,
            part_id=draft.part_id,
            ordinal=draft.ordinal,
            kind=draft.kind,
            text=_storable(draft.text),
            heading_path=[_storable(title) for title in draft.heading_path],
            anchor=dict(draft.anchor),
            words=None if draft.words is None else [list(word) for word in draft.words],
            spans=[list(span) for span in draft.spans],
            language=draft.language[:8],
            picture_sha256=draft.picture_sha256,
        )
        for draft in drafts
    ]


def _storable(text: str) -> str:
    # PostgreSQL's text holds every character but this one; extracted text sometimes has it.
    return text.replace("\x00", "\ufffd")


def _vectors(segments: Sequence[Segment], drafts: Sequence[SegmentDraft]) -> list[VectorRow]:
    dimensions = dict(EmbeddingSpace.objects.values_list("pk", "dimensions"))
    rows = []
    for segment, draft in zip(segments, drafts, strict=True):
        for space_id, vector in draft.vectors.items():
            if vector is None:
                continue
            if vector.shape != (dimensions.get(space_id),):
                raise Invalid(
                    f"a vector of shape {vector.shape} does not fit space {space_id}, "
                    f"which has {dimensions.get(space_id, 'no')} dimensions"
                )
            rows.append(
                vector_row(space_id=space_id, segment_id=segment.pk, collection_id=segment.collection_id, vector=vector)
            )
    return rows


def _language(drafts: Sequence[SegmentDraft]) -> str:
    letters: Counter[str] = Counter()
    for draft in drafts:
        if draft.language:
            letters[draft.language[:8]] += len(draft.text)
    return letters.most_common(1)[0][0] if letters else ""
