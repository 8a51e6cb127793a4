"""POST /v1/rerank: documents ordered by how well they answer a query, in the shape that Jina and Cohere share."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from core.api.openai.base import OpenAIView, body_of
from core.api.openai.errors import RequestRefused
from core.api.openai.models import model_named
from core.api.requests import user_of
from core.api.throttles import SearchThrottle
from core.remote import passages_score

DOCUMENTS_MAX = 1000
CHARACTERS_MAX = 4_000_000

KNOWN = frozenset({"model", "query", "documents", "top_n", "return_documents"})


class RerankView(OpenAIView):
    """Relevance."""

    throttle_classes = [SearchThrottle]

    def post(self, request: Request) -> Response:
        """Score every document against the query; best first."""
        fields = body_of(request, known=KNOWN, ignored=frozenset({"user"}))
        user_of(request)
        model = model_named(fields.get("model"), roles=("reranker",))
        query, documents = _query(fields), _documents(fields.get("documents"))
        scores, tokens = passages_score(query=query, passages=documents)
        ranked = sorted(range(len(documents)), key=lambda index: -scores[index])[: _top_n(fields, len(documents))]
        return Response(
            {
                "model": model.id,
                "results": [
                    {
                        "index": index,
                        "relevance_score": scores[index],
                        **({"document": {"text": documents[index]}} if fields.get("return_documents") else {}),
                    }
                    for index in ranked
                ],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


def _query(fields: dict[str, Any]) -> str:
    query = fields.get("query")
    if not isinstance(query, str) or not query.strip():
        raise RequestRefused("query is a text that is not empty", param="query")
    return query


def _documents(given: object) -> list[str]:
    if not isinstance(given, list) or not given:
        raise RequestRefused("documents is a list of at least one text", param="documents")
    unwrapped = [one.get("text") if isinstance(one, dict) else one for one in given]
    texts = [one for one in unwrapped if isinstance(one, str) and one.strip()]
    if len(texts) < len(given):
        raise RequestRefused('every document is a text, or {"text": ...}, that is not empty', param="documents")
    if len(texts) > DOCUMENTS_MAX or sum(map(len, texts)) > CHARACTERS_MAX:
        raise RequestRefused(
            f"{len(texts)} documents with {sum(map(len, texts))} characters are over the limit of "
            f"{DOCUMENTS_MAX} documents and {CHARACTERS_MAX} characters",
            param="documents",
            status=413,
        )
    return texts


def _top_n(fields: dict[str, Any], count: int) -> int:
    wanted = fields.get("top_n", count)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise RequestRefused("top_n is a whole number of at least 1", param="top_n")
    return wanted
