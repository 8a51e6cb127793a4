"""One search: legs inside what the caller may see, floors, fusion, hits with document, snippet and anchor."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from core.access.acting import acting_as
from core.access.lookup import collection_find
from core.access.models import User
from core.access.service import visible_to
from core.search.duplicates import Fingerprint, first_alike
from core.search.embedding import LEG_ROLES, QueryEmbedder, QueryVectors
from core.search.filters import Comparison, Filter, filter_all
from core.search.fusion import Fused, fuse
from core.search.hits import SearchHit, SearchResult, hits_grouped
from core.search.legs import LegHit, Scope, full_text_leg, planner_prepare, vector_leg
from core.search.neighbours import segments_around
from core.search.query import Query, query_parse, query_plain
from core.search.query_cache import query_cache
from core.search.snippets import snippet
from core.search.terms import QueryTerms, query_terms
from core.segments.models import EmbeddingSpace, Segment

__all__ = ["QUERY_IMAGE_MAX_MIB", "QueryEmbedder", "Reranker", "SearchHit", "SearchResult", "segments_search"]

LEG_LIMIT = 60
"""Hits a leg hands to the fusion; deeper ones no longer move a first page."""

QUERY_IMAGE_MAX_MIB = 32
"""Largest picture that is taken as a query."""

RERANK_DEPTH = 30
"""Fused candidates that a reranker sees; each costs it a pass of its model."""

SPARE = 5
"""Candidates loaded beyond the hits wanted, so that near-duplicates seldom cost another statement."""

HITS_PER_DOCUMENT = 3
"""Hits shown of each document of a grouped search."""

WEIGHTS = {"full_text": 1.0, "text": 0.5, "picture_by_text": 2.5, "picture_by_image": 2.5}
"""The words themselves weigh more than their meaning; a picture that passes its calibrated floor outweighs text that
merely shares words with its caption's neighbours."""


class Reranker(Protocol):
    """Scores passages for a query."""

    def __call__(self, *, query: str, passages: Sequence[str]) -> Sequence[float]:
        """Return one score a passage, higher is better."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    legs: Mapping[str, Sequence[LegHit]]
    terms: QueryTerms | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    segment: Segment
    score: float
    legs: Mapping[str, float]
    fingerprint: Fingerprint


def segments_search(
    *,
    user: User,
    embedder: QueryEmbedder,
    text: str | None = None,
    image: bytes | None = None,
    collection: str | None = None,
    collection_ids: Sequence[UUID] | None = None,
    kinds: Sequence[str] = (),
    document_ids: Sequence[UUID] = (),
    filter: Filter | None = None,
    limit: int = 10,
    typed: bool = False,
    neighbours: int = 0,
    group_by_document: bool = False,
    reranker: Reranker | None = None,
    whole: bool = True,
    legs: Collection[str] | None = None,
) -> SearchResult:
    """Search everything ``user`` may see.

    Args:
        user: The caller; only collections visible to them are searched, whatever is asked for.
        embedder: Turns the query into vectors.
        text: The query in words; may be combined with ``image``.
        image: An encoded picture to search with.
        collection: Name or id of one collection; narrows the search.
        collection_ids: Narrows the search; None searches all visible collections.
        kinds: Narrows to these segment kinds.
        document_ids: Narrows to these documents.
        filter: Narrows further; see core.search.filters.
        limit: Hits wanted; of a grouped search documents.
        typed: Read ``"quoted words"`` and ``beginning*`` in ``text``; else it is taken as it is.
        neighbours: How many segments before and after each hit come with it.
        group_by_document: Group the hits by document.
        reranker: Has the last word about the order of hits with text; not asked when the query is a picture alone.
        whole: Load also the words and spans of each hit's segment, which quotes need.
        legs: Ask only these legs, to measure what each is worth; None asks all.

    Raises:
        NotFound: ``collection`` does not exist or ``user`` may not see it.
    """
    query = (query_parse(text) if typed else query_plain(text)) if text else None
    wanted = _filter(kinds, document_ids, filter)
    spaces: dict[str, EmbeddingSpace] = {}

    def candidates(scope: Scope, vectors: QueryVectors) -> tuple[list[_Candidate], QueryTerms | None]:
        found = _legs(scope, spaces, vectors.found, query, limit=max(LEG_LIMIT, 2 * limit), wanted=legs)
        first = RERANK_DEPTH if reranker is not None else limit + max(SPARE, limit // 2)
        return _candidates(found, limit, first=None if group_by_document else first, whole=whole), found.terms

    with acting_as(user):
        scope = Scope(
            collection_ids=_collection_ids(user, collection, collection_ids),
            filter=wanted,
            phrases=query.phrases if query else (),
        )
        spaces.update({str(space.name): space for space in EmbeddingSpace.objects.filter(active=True)})
        vectors = QueryVectors(text=query.text if query else None, image=image, spaces=spaces, cache=query_cache())
        found = candidates(scope, vectors) if vectors.complete else None
    if found is None:
        # A worker may take long: not inside a transaction. Who lost a right meanwhile meets row security.
        vectors.ask(embedder)
        with acting_as(user):
            found = candidates(scope, vectors)
    ordered, terms = found
    if reranker is not None and query is not None:
        ordered = _reranked(ordered, query.text, reranker)
    hits = _hits(ordered, terms, limit=None if group_by_document else limit)
    if neighbours:
        with acting_as(user):
            around = segments_around([hit.segment for hit in hits], each=neighbours)
        hits = [dataclasses.replace(hit, neighbours=around[hit.segment.pk]) for hit in hits]
    groups = None
    if group_by_document:
        groups = hits_grouped(hits, documents=limit, hits_per_document=HITS_PER_DOCUMENT)
        hits = [group.hits[0] for group in groups]
    return SearchResult(
        hits=tuple(hits),
        terms=terms,
        space_digests={name: space.digest for name, space in spaces.items()},
        groups=groups,
        reranked=reranker is not None and query is not None,
    )


def _filter(kinds: Sequence[str], document_ids: Sequence[UUID], further: Filter | None) -> Filter | None:
    wanted: list[Filter] = [] if further is None else [further]
    if kinds:
        wanted.append(Comparison("in", "kind", tuple(kinds)))
    if document_ids:
        wanted.append(Comparison("in", "document", tuple(document_ids)))
    return filter_all(wanted)


def _collection_ids(user: User, named: str | None, wanted: Sequence[UUID] | None) -> tuple[UUID, ...]:
    if named is not None:
        return (collection_find(user=user, name_or_id=named).pk,)
    visible = visible_to(user)
    if wanted is not None:
        visible = visible.filter(pk__in=wanted)
    return tuple(visible.values_list("pk", flat=True))


def _legs(
    scope: Scope,
    spaces: Mapping[str, EmbeddingSpace],
    vectors: Mapping[str, Sequence[float]],
    query: Query | None,
    *,
    limit: int,
    wanted: Collection[str] | None,
) -> _Found:
    planner_prepare()
    found: dict[str, list[LegHit]] = {}
    terms = query_terms(query.words, scope.collection_ids, query.prefixes) if query else None
    if terms is not None and (wanted is None or "full_text" in wanted):
        found["full_text"] = full_text_leg(scope=scope, terms=terms, limit=limit)
    for leg, vector in vectors.items():
        if wanted is not None and leg not in wanted:
            continue
        space = spaces[LEG_ROLES[leg]]
        floor = space.floor_image if leg == "picture_by_image" else space.floor_text
        found[leg] = vector_leg(scope=scope, space=space, vector=vector, floor=floor, limit=limit)
    return _Found(legs=found, terms=terms)


def _candidates(found: _Found, wanted: int, *, first: int | None, whole: bool) -> list[_Candidate]:
    """Load fused segments, best first, ``first`` or all at a time, until enough of them say different things."""
    fused = fuse({leg: [hit.segment_id for hit in hits] for leg, hits in found.legs.items()}, WEIGHTS)
    scores = {leg: {hit.segment_id: hit.score for hit in hits} for leg, hits in found.legs.items()}
    batch = first or max(1, len(fused))
    loaded: list[_Candidate] = []
    for start in range(0, len(fused), batch):
        loaded += _loaded(fused[start : start + batch], scores, whole=whole)
        if len(_collapsed(loaded)) >= wanted:
            break
    return loaded


def _loaded(
    fused: Sequence[Fused[UUID]], scores: Mapping[str, Mapping[UUID, float]], *, whole: bool
) -> Iterator[_Candidate]:
    unread = ("search_vector",) if whole else ("search_vector", "words", "spans")
    segments = Segment.objects.select_related("document").defer(*unread).in_bulk([one.key for one in fused])
    for one in fused:
        if one.key in segments:
            yield _Candidate(
                segment=segments[one.key],
                score=one.score,
                legs={leg: scores[leg][one.key] for leg in one.ranks},
                fingerprint=Fingerprint(segments[one.key]),
            )


def _reranked(candidates: Sequence[_Candidate], text: str, reranker: Reranker) -> list[_Candidate]:
    """Order the first candidates that have text by the reranker's scores; pictures without words keep their places."""
    places = [at for at, one in enumerate(candidates[:RERANK_DEPTH]) if one.segment.text]
    if not places:
        return list(candidates)
    scores = reranker(query=text, passages=[candidates[at].segment.text for at in places])
    scored = [
        dataclasses.replace(candidates[at], legs={**candidates[at].legs, "rerank": float(score)})
        for at, score in zip(places, scores, strict=True)
    ]
    ordered = list(candidates)
    for at, one in zip(places, sorted(scored, key=lambda one: -one.legs["rerank"]), strict=True):
        ordered[at] = one
    return ordered


def _collapsed(candidates: Sequence[_Candidate]) -> list[tuple[_Candidate, list[Segment]]]:
    """Put near-duplicates to the first candidate that says the same; all of them are visible to the caller."""
    kept: list[tuple[_Candidate, list[Segment]]] = []
    fingerprints: list[Fingerprint] = []
    for one in candidates:
        at = first_alike(one.fingerprint, fingerprints)
        if at is None:
            kept.append((one, []))
            fingerprints.append(one.fingerprint)
        else:
            kept[at][1].append(one.segment)
    return kept


def _hits(candidates: Sequence[_Candidate], terms: QueryTerms | None, limit: int | None) -> list[SearchHit]:
    wanted = [lexeme for term in terms.terms for lexeme in term.lexemes] if terms else []
    return [
        SearchHit(
            rank=rank,
            score=one.score,
            segment=one.segment,
            snippet=snippet(one.segment.text, wanted),
            legs=one.legs,
            duplicates=tuple(duplicates),
        )
        for rank, (one, duplicates) in enumerate(_collapsed(candidates)[:limit], start=1)
    ]
