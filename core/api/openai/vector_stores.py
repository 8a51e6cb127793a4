"""/v1/vector_stores: collections, and searching one with OpenAI's filters."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum
from rest_framework.request import Request
from rest_framework.response import Response

from core.access.acting import acting_as
from core.access.errors import NotFound
from core.access.models import Collection, User
from core.access.service import collection_get, visible_to
from core.api.openai.base import OpenAIView, body_of
from core.api.openai.errors import RequestRefused
from core.api.openai.file_ids import STORE_PREFIX, file_id, store_id
from core.api.openai.paging import page, page_asked
from core.api.requests import user_of
from core.api.throttles import SearchThrottle
from core.documents.models import DocumentState
from core.remote import query_embed
from core.search.filters import filter_parse
from core.search.hits import SearchHit
from core.search.rerank import profile_reranker
from core.search.service import segments_search

RESULTS = 10
RESULTS_MAX = 50
QUERY_MAX_CHARS = 4000
RANKERS = ("auto", "none", "default-2024-08-21", "default-2024-11-15")

KNOWN = frozenset({"query", "filters", "max_num_results", "ranking_options", "rewrite_query"})


class VectorStoreListView(OpenAIView):
    """Vector stores."""

    def get(self, request: Request) -> Response:
        """List the collections that you may see."""
        user = user_of(request)
        asked = page_asked(request.query_params)
        after = _collection(user, asked.after) if asked.after else None
        with acting_as(user):
            listed, has_more = asked.take(visible_to(user), after=after)
            rows = [_store_json(one) for one in listed]
        return Response(page(rows, has_more=has_more))


class VectorStoreView(OpenAIView):
    """One vector store."""

    def get(self, request: Request, identifier: str) -> Response:
        """Return one collection with its counts."""
        user = user_of(request)
        collection = _collection(user, identifier)
        with acting_as(user):
            return Response(_store_json(collection))


class VectorStoreSearchView(OpenAIView):
    """Searching."""

    throttle_classes = [SearchThrottle]

    def post(self, request: Request, identifier: str) -> Response:
        """Search one collection by meaning and words, inside what the filters leave."""
        user = user_of(request)
        collection = _collection(user, identifier)
        fields = body_of(request, known=KNOWN)
        query = _query(fields.get("query"))
        threshold, rerank = _ranking(fields.get("ranking_options"))
        found = segments_search(
            user=user,
            embedder=query_embed,
            text=query,
            collection_ids=[collection.pk],
            filter=filter_parse(fields["filters"], attributes=True) if "filters" in fields else None,
            limit=_limit(fields.get("max_num_results", RESULTS)),
            reranker=profile_reranker() if rerank else None,
        )
        rows = [_hit_json(hit) for hit in found.hits if hit.score >= threshold]
        return Response(
            {
                "object": "vector_store.search_results.page",
                "search_query": [query],
                "data": rows,
                "has_more": False,
                "next_page": None,
            }
        )


def _collection(user: User, identifier: str) -> Collection:
    try:
        return collection_get(user=user, collection_id=UUID(identifier.removeprefix(STORE_PREFIX)))
    except (ValueError, NotFound) as error:
        raise NotFound(f"there is no vector store '{identifier[:80]}'") from error


def _store_json(collection: Collection) -> dict[str, Any]:
    running = (DocumentState.QUEUED, DocumentState.RUNNING)
    counts = collection.documents.aggregate(
        total=Count("pk"),
        completed=Count("pk", filter=Q(state=DocumentState.READY)),
        failed=Count("pk", filter=Q(state=DocumentState.FAILED)),
        in_progress=Count("pk", filter=Q(state__in=running)),
    )
    usage = collection.documents.aggregate(size_bytes=Sum("size_bytes"))["size_bytes"] or 0
    return {
        "id": store_id(collection.pk),
        "object": "vector_store",
        "created_at": int(collection.created_at.timestamp()),
        "name": collection.name,
        "usage_bytes": usage,
        "file_counts": {**counts, "cancelled": 0},
        "status": "in_progress" if counts["in_progress"] else "completed",
        "last_active_at": None,
        "metadata": {},
    }


def _hit_json(hit: SearchHit) -> dict[str, Any]:
    document = hit.segment.document
    return {
        "file_id": file_id(document.pk),
        "filename": document.title,
        "score": round(hit.score, 6),
        "attributes": {**document.metadata, "kind": hit.segment.kind},
        "content": [{"type": "text", "text": hit.segment.text}],
        "segment": str(hit.segment.pk),
        "anchor": hit.segment.anchor,
    }


def _query(query: object) -> str:
    given = query if isinstance(query, list) else [query]
    texts = [one for one in given if isinstance(one, str) and one.strip()]
    if not texts or len(texts) < len(given):
        raise RequestRefused("query is a text or a list of texts, none of them empty", param="query")
    joined = " ".join(texts)
    if len(joined) > QUERY_MAX_CHARS:
        raise RequestRefused(
            f"the query has {len(joined)} characters; the limit is {QUERY_MAX_CHARS}", param="query", status=413
        )
    return joined


def _limit(wanted: object) -> int:
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= RESULTS_MAX:
        raise RequestRefused(f"max_num_results is a whole number from 1 to {RESULTS_MAX}", param="max_num_results")
    return wanted


def _ranking(options: object) -> tuple[float, bool]:
    """Return the least score of a hit, and whether the reranker has the last word."""
    if options is None:
        return 0.0, True
    if not isinstance(options, dict):
        raise RequestRefused("ranking_options is an object", param="ranking_options")
    ranker, threshold = options.get("ranker", "auto"), options.get("score_threshold", 0.0)
    if ranker not in RANKERS:
        raise RequestRefused(f"ranker is one of {', '.join(RANKERS)}", param="ranking_options.ranker")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise RequestRefused("score_threshold is a number", param="ranking_options.score_threshold")
    return float(threshold), ranker != "none"
