"""One search: legs inside what the caller may see, floors, fusion, hits with document, snippet and anchor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

from core.access.acting import acting_as
from core.access.models import User
from core.access.service import visible_to
from core.search.fusion import fuse
from core.search.legs import LegHit, Scope, full_text_leg, vector_leg
from core.search.snippets import snippet
from core.search.terms import QueryTerms, query_terms
from core.segments.models import EmbeddingSpace, Segment, SpaceName

LEG_LIMIT = 60
"""Hits a leg hands to the fusion; deeper ones no longer move a first page."""

QUERY_IMAGE_MAX_MIB = 32
"""Largest picture that is taken as a query."""

TEXT_WEIGHT = 1.0
FULL_TEXT_WEIGHT = 1.0
PICTURE_WEIGHT = 2.5
"""A picture that passes its calibrated floor outweighs text that merely shares words with its caption's neighbours."""


class QueryEmbedder(Protocol):
    """Embeds queries: the web process asks a worker, a worker asks its own engine."""

    def __call__(
        self, *, role: Literal["text", "image_text"], text: str | None = None, image: bytes | None = None
    ) -> Sequence[float]:
        """Return a unit vector of the role's space."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One segment, ready to be shown.

    Attributes:
        score: Fused score; comparable within one search only.
        legs: For each leg that found it, its own score.
    """

    rank: int
    score: float
    segment: Segment
    snippet: str
    legs: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the public form of a hit."""
        document = self.segment.document
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "document": {"id": str(document.pk), "title": document.title, "path": document.path},
            "segment": str(self.segment.pk),
            "kind": self.segment.kind,
            "snippet": self.snippet,
            "anchor": self.segment.anchor,
            "legs": {leg: round(score, 4) for leg, score in self.legs.items()},
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The hits, best first, with what they were found by."""

    hits: tuple[SearchHit, ...]
    terms: QueryTerms | None
    space_digests: Mapping[str, str]


def segments_search(
    *,
    user: User,
    embedder: QueryEmbedder,
    text: str | None = None,
    image: bytes | None = None,
    collection_ids: Sequence[UUID] | None = None,
    kinds: Sequence[str] = (),
    document_ids: Sequence[UUID] = (),
    limit: int = 10,
) -> SearchResult:
    """Search everything ``user`` may see.

    Args:
        user: The caller; only collections visible to them are searched, whatever is asked for.
        embedder: Turns the query into vectors.
        text: The query in words; may be combined with ``image``.
        image: An encoded picture to search with.
        collection_ids: Narrows the search; None searches all visible collections.
        kinds: Narrows to these segment kinds.
        document_ids: Narrows to these documents.
        limit: Hits wanted.
    """
    vectors = _query_vectors(embedder, text, image)
    with acting_as(user):
        scope = Scope(
            collection_ids=_visible_ids(user, collection_ids), kinds=tuple(kinds), document_ids=tuple(document_ids)
        )
        spaces = {space.name: space for space in EmbeddingSpace.objects.filter(active=True)}
        terms = query_terms(text, scope.collection_ids) if text else None
        legs = _run_legs(scope, spaces, vectors, terms)
        hits = _hits(legs, terms, limit)
    return SearchResult(
        hits=hits, terms=terms, space_digests={str(name): space.digest for name, space in spaces.items()}
    )


def _visible_ids(user: User, wanted: Sequence[UUID] | None) -> tuple[UUID, ...]:
    visible = visible_to(user)
    if wanted is not None:
        visible = visible.filter(pk__in=wanted)
    return tuple(visible.values_list("pk", flat=True))


def _query_vectors(embedder: QueryEmbedder, text: str | None, image: bytes | None) -> dict[str, Sequence[float]]:
    vectors: dict[str, Sequence[float]] = {}
    if text:
        vectors["text"] = embedder(role="text", text=text)
        vectors["picture_by_text"] = embedder(role="image_text", text=text)
    if image is not None:
        vectors["picture_by_image"] = embedder(role="image_text", image=image)
    return vectors


def _run_legs(
    scope: Scope,
    spaces: Mapping[str, EmbeddingSpace],
    vectors: Mapping[str, Sequence[float]],
    terms: QueryTerms | None,
) -> dict[str, list[LegHit]]:
    legs: dict[str, list[LegHit]] = {}
    if terms is not None:
        legs["full_text"] = full_text_leg(scope=scope, terms=terms, limit=LEG_LIMIT)
    text_space = spaces.get(SpaceName.TEXT)
    if text_space is not None and "text" in vectors:
        legs["text"] = vector_leg(
            scope=scope, space=text_space, vector=vectors["text"], floor=text_space.floor_text, limit=LEG_LIMIT
        )
    picture_space = spaces.get(SpaceName.IMAGE_TEXT)
    for leg, floor_name in (("picture_by_text", "floor_text"), ("picture_by_image", "floor_image")):
        if picture_space is not None and leg in vectors:
            floor = getattr(picture_space, floor_name)
            legs[leg] = vector_leg(scope=scope, space=picture_space, vector=vectors[leg], floor=floor, limit=LEG_LIMIT)
    return legs


def _hits(legs: Mapping[str, Sequence[LegHit]], terms: QueryTerms | None, limit: int) -> tuple[SearchHit, ...]:
    weights = {
        "full_text": FULL_TEXT_WEIGHT,
        "text": TEXT_WEIGHT,
        "picture_by_text": PICTURE_WEIGHT,
        "picture_by_image": PICTURE_WEIGHT,
    }
    fused = fuse({leg: [hit.segment_id for hit in hits] for leg, hits in legs.items()}, weights)
    scores = {leg: {hit.segment_id: hit.score for hit in hits} for leg, hits in legs.items()}
    segments = Segment.objects.select_related("document", "part").in_bulk([one.key for one in fused[: 3 * limit]])
    wanted = [lexeme for term in terms.terms for lexeme in term.lexemes] if terms else []
    hits: list[SearchHit] = []
    seen: set[tuple[UUID, str]] = set()
    for one in fused:
        segment = segments.get(one.key)
        if segment is None or (segment.document_id, _collapsed(segment)) in seen:
            continue
        seen.add((segment.document_id, _collapsed(segment)))
        hits.append(
            SearchHit(
                rank=len(hits) + 1,
                score=one.score,
                segment=segment,
                snippet=snippet(segment.text, wanted),
                legs={leg: scores[leg][one.key] for leg in one.ranks},
            )
        )
        if len(hits) == limit:
            break
    return tuple(hits)


def _collapsed(segment: Segment) -> str:
    """Identify near-duplicates within a document: the same words, or the segment itself where there are none."""
    words = " ".join(segment.text.split()).lower()
    return words or str(segment.pk)
