"""Segments before their vectors, as they lie in the artefact of the segment step."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from core.documents.storage import artefact_read
from core.jobs.models import Step
from gpu_worker.material import Material, bytes_store
from inference.values import SegmentKind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DraftRecord:
    """A SegmentDraft without vectors; the fields mean the same."""

    part_id: str
    ordinal: int
    kind: SegmentKind
    text: str
    anchor: dict[str, Any]
    heading_path: Sequence[str] = ()
    words: Sequence[Sequence[Any]] | None = None
    spans: Sequence[Sequence[Any]] = ()
    language: str = ""
    picture_sha256: str = ""


def drafts_store(step: Step, drafts: Sequence[DraftRecord]) -> str:
    """Store the drafts as an artefact and return its sha256."""
    return bytes_store(step, json.dumps([dataclasses.asdict(draft) for draft in drafts], ensure_ascii=False).encode())


def drafts_load(material: Material) -> list[DraftRecord]:
    """Read the drafts that the job's segment step made."""
    ((_, result),) = material.results("segment")
    return [DraftRecord(**fields) for fields in json.loads(artefact_read(result["drafts"]))]
