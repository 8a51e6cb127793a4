"""What a search returns: hits with document, snippet, anchor, duplicates and neighbours; grouped on request."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from core.documents.models import Document
from core.search.terms import QueryTerms
from core.segments.models import Segment


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One segment, ready to be shown.

    Attributes:
        score: Fused score; comparable within one search only.
        legs: For each leg that found it, its own score; with a reranker also that of ``rerank``.
        duplicates: Segments that say or show the same and would have been hits of their own.
        neighbours: What stands before and after it in its part, in reading order; None unless asked for.
    """

    rank: int
    score: float
    segment: Segment
    snippet: str
    legs: Mapping[str, float]
    duplicates: tuple[Segment, ...] = ()
    neighbours: tuple[Segment, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the public form of a hit."""
        public = {
            "rank": self.rank,
            "score": round(self.score, 6),
            "document": document_json(self.segment.document),
            "segment": str(self.segment.pk),
            "kind": self.segment.kind,
            "language": self.segment.language or None,
            "snippet": self.snippet,
            "anchor": self.segment.anchor,
            "legs": {leg: round(score, 4) for leg, score in self.legs.items()},
            "duplicates": [_duplicate_json(one) for one in self.duplicates],
        }
        if self.neighbours is not None:
            public["neighbours"] = [_neighbour_json(one, self.segment) for one in self.neighbours]
        return public


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DocumentGroup:
    """The hits of one document, best first; the group's score is its best hit's."""

    document: Document
    hits: tuple[SearchHit, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the public form of a group."""
        return {
            "document": document_json(self.document),
            "score": round(self.hits[0].score, 6),
            "hits": [hit.as_json() for hit in self.hits],
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The hits, best first, with what they were found by.

    Attributes:
        hits: Of a grouped search the best hit of each document.
        groups: Documents with their hits, best first; None unless asked for.
        reranked: Whether a reranker had the last word about the order.
    """

    hits: tuple[SearchHit, ...]
    terms: QueryTerms | None
    space_digests: Mapping[str, str]
    groups: tuple[DocumentGroup, ...] | None = None
    reranked: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the public form of a result."""
        public: dict[str, Any] = {"hits": [hit.as_json() for hit in self.hits], "reranked": self.reranked}
        if self.groups is not None:
            public["groups"] = [group.as_json() for group in self.groups]
        return public


def document_json(document: Document) -> dict[str, Any]:
    """Return what a hit says of its document."""
    return {
        "id": str(document.pk),
        "title": document.title,
        "path": document.path,
        "tags": document.tags,
        "metadata": document.metadata,
        "date": document.date.isoformat() if document.date else None,
    }


def hits_grouped(hits: Sequence[SearchHit], *, documents: int, hits_per_document: int) -> tuple[DocumentGroup, ...]:
    """Group hits by document in the order of their best hit."""
    by_document: dict[Any, list[SearchHit]] = {}
    for hit in hits:
        if hit.segment.document_id not in by_document and len(by_document) == documents:
            continue
        found = by_document.setdefault(hit.segment.document_id, [])
        if len(found) < hits_per_document:
            found.append(hit)
    return tuple(DocumentGroup(document=found[0].segment.document, hits=tuple(found)) for found in by_document.values())


def _duplicate_json(segment: Segment) -> dict[str, Any]:
    document = {"id": str(segment.document_id), "title": segment.document.title}
    return {"document": document, "segment": str(segment.pk), "anchor": segment.anchor}


def _neighbour_json(segment: Segment, of: Segment) -> dict[str, Any]:
    return {
        "segment": str(segment.pk),
        "kind": segment.kind,
        "text": segment.text,
        "anchor": segment.anchor,
        "position": "before" if segment.ordinal < of.ordinal else "after",
    }
