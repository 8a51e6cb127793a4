"""Search by words, by a picture, or by both."""

from __future__ import annotations

import time
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.lookup import collection_by_name
from core.api.requests import user_of
from core.remote import query_embed
from core.search.service import QUERY_IMAGE_MAX_MIB, segments_search
from inference.values import SEGMENT_KINDS


class SearchSerializer(serializers.Serializer[dict[str, Any]]):
    """What to search for, and where."""

    text = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    image = serializers.FileField(required=False, help_text="A picture to search with (multipart).")
    collection = serializers.CharField(max_length=200, required=False, help_text="Name or id; without one, all.")
    kind = serializers.ListField(
        child=serializers.ChoiceField(choices=SEGMENT_KINDS), required=False, help_text="Only these kinds."
    )
    limit = serializers.IntegerField(min_value=1, max_value=100, default=10)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse an empty query and a picture that is too large."""
        if not attrs.get("text") and "image" not in attrs:
            raise serializers.ValidationError("give text, an image, or both")
        if "image" in attrs and attrs["image"].size > QUERY_IMAGE_MAX_MIB * 2**20:
            raise serializers.ValidationError(
                f"the picture is larger than {QUERY_IMAGE_MAX_MIB} MiB; send a smaller one"
            )
        return attrs


class SearchView(APIView):
    """Search."""

    parser_classes = [JSONParser, MultiPartParser, FormParser]

    @extend_schema(request=SearchSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Return the hits, best first, each with document, snippet and anchor."""
        started = time.perf_counter()
        fields = SearchSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        wanted = fields.validated_data
        user = user_of(request)
        collection_ids = None
        if wanted.get("collection"):
            collection_ids = [collection_by_name(user=user, name_or_id=wanted["collection"]).pk]
        found = segments_search(
            user=user,
            embedder=query_embed,
            text=wanted.get("text") or None,
            image=wanted["image"].read() if "image" in wanted else None,
            collection_ids=collection_ids,
            kinds=wanted.get("kind", ()),
            limit=wanted["limit"],
        )
        took_ms = (time.perf_counter() - started) * 1000
        return Response({"hits": [hit.as_json() for hit in found.hits], "took_ms": round(took_ms, 1)})
