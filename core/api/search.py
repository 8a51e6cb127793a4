"""Search by words, by a picture, or by both, inside what filters leave."""

from __future__ import annotations

import time
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.requests import user_of
from core.remote import query_embed
from core.search.filters import filter_parse
from core.search.narrowing import Narrowing, narrowing_filter
from core.search.neighbours import NEIGHBOURS_MAX
from core.search.rerank import profile_reranker
from core.search.service import QUERY_IMAGE_MAX_MIB, segments_search
from inference.values import SEGMENT_KINDS


@extend_schema_field(OpenApiTypes.OBJECT)
class FilterField(serializers.JSONField):
    """A filter of core.search.filters."""

    def to_internal_value(self, data: Any) -> Any:
        """Check the filter."""
        return filter_parse(super().to_internal_value(data))


def _texts(help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, max_length=100, help_text=help_text
    )


class SearchSerializer(serializers.Serializer[dict[str, Any]]):
    """What to search for, and where; all that narrows holds together."""

    text = serializers.CharField(
        max_length=4000, required=False, allow_blank=True, help_text='Words; "quoted words" stand together; word*.'
    )
    image = serializers.FileField(required=False, help_text="A picture to search with (multipart).")
    collection = serializers.CharField(max_length=200, required=False, help_text="Name or id; without one, all.")
    kind = serializers.ListField(
        child=serializers.ChoiceField(choices=SEGMENT_KINDS), required=False, help_text="Only these kinds."
    )
    document = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=1000, help_text="Only these documents."
    )
    media_type = _texts("Only files of these types, such as application/pdf.")
    language = _texts("Only passages in these languages (ISO 639-1).")
    speaker = _texts("Only what these speakers say, such as S2.")
    tag = _texts("Only documents that have all of these tags.")
    date_from = serializers.DateField(required=False, help_text="Documents dated on this day or later.")
    date_to = serializers.DateField(required=False, help_text="Documents dated on this day or before.")
    page_from = serializers.IntegerField(required=False, min_value=1, max_value=10**6)
    page_to = serializers.IntegerField(required=False, min_value=1, max_value=10**6, help_text="Inclusive.")
    time_from_s = serializers.FloatField(required=False, min_value=0, max_value=1e9, help_text="In a recording.")
    time_to_s = serializers.FloatField(required=False, min_value=0, max_value=1e9, help_text="Exclusive.")
    filter = FilterField(required=False, help_text='{"type": "eq", "key": "metadata.year", "value": 2021}; and, or.')
    neighbours = serializers.IntegerField(
        min_value=0, max_value=NEIGHBOURS_MAX, default=0, help_text="Turns or passages before and after each hit."
    )
    group = serializers.ChoiceField(choices=["document"], required=False, help_text="Group the hits by document.")
    rerank = serializers.BooleanField(default=False, help_text="Let the profile's reranker order the first hits.")
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
        found = segments_search(
            user=user_of(request),
            embedder=query_embed,
            text=wanted.get("text") or None,
            typed=True,
            image=wanted["image"].read() if "image" in wanted else None,
            collection=wanted.get("collection"),
            filter=narrowing_filter(Narrowing.of(wanted), wanted.get("filter")),
            limit=wanted["limit"],
            neighbours=wanted["neighbours"],
            group_by_document=wanted.get("group") == "document",
            reranker=profile_reranker() if wanted["rerank"] else None,
            whole=False,
        )
        took_ms = (time.perf_counter() - started) * 1000
        return Response({**found.as_json(), "took_ms": round(took_ms, 1)})
