"""Segments and their vectors: written as a whole, by the holder of the step alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg
from django.db import connection, transaction
from pgvector import HalfVector
from pgvector.psycopg.halfvec import register_halfvec_info
from psycopg.types import TypeInfo

from core.access.acting import acting_as_system
from core.access.errors import Invalid
from core.documents.models import Document, Part
from core.jobs.artefact import artefacts_collect, artefacts_keep
from core.jobs.models import Step
from core.jobs.steps import LEASE_S, step_held
from core.segments.drafts import SegmentDraft, segment_id
from core.segments.models import EmbeddingSpace, Segment
from core.segments.spaces import SpaceSpec, space_activate, space_active, space_create, space_rollback, spaces_ensure

__all__ = [
    "SegmentDraft",
    "SpaceSpec",
    "segment_id",
    "segments_replace",
    "space_activate",
    "space_active",
    "space_create",
    "space_rollback",
    "spaces_ensure",
]

ROWS_PER_INSERT = 1000


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
        _vectors_insert(vectors, job.collection_id)
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


def _vectors(segments: Sequence[Segment], drafts: Sequence[SegmentDraft]) -> list[tuple[int, UUID, HalfVector]]:
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
            rows.append((space_id, segment.pk, HalfVector(np.asarray(vector, dtype=np.float32))))
    return rows


def _vectors_insert(rows: Sequence[tuple[int, UUID, HalfVector]], collection_id: UUID) -> None:
    # PostgreSQL refuses COPY FROM into a table with row security; arrays in binary form are the next fastest.
    connection.ensure_connection()
    raw = connection.connection
    halfvec = TypeInfo.fetch(raw, "halfvec")
    with psycopg.Cursor(raw) as cursor:
        # On this cursor alone: a pooled connection goes back as it came.
        register_halfvec_info(cursor, halfvec)  # type: ignore[arg-type]
        for start in range(0, len(rows), ROWS_PER_INSERT):
            space_ids, segment_ids, vectors = zip(*rows[start : start + ROWS_PER_INSERT], strict=True)
            cursor.execute(
                "INSERT INTO segments_embedding (space_id, segment_id, collection_id, embedding) "
                "SELECT space_id, segment_id, %b, embedding "
                "FROM unnest(%b::bigint[], %b::uuid[], %b::halfvec[]) AS new (space_id, segment_id, embedding)",
                [collection_id, list(space_ids), list(segment_ids), list(vectors)],
            )


def _language(drafts: Sequence[SegmentDraft]) -> str:
    letters: Counter[str] = Counter()
    for draft in drafts:
        if draft.language:
            letters[draft.language[:8]] += len(draft.text)
    return letters.most_common(1)[0][0] if letters else ""
