"""The speech of a document as subtitles."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from core.access.acting import acting_as
from core.access.errors import NotFound
from core.api.requests import user_of
from core.api.subtitles import srt, utterance_cues, vtt
from core.documents.service import document_get
from core.segments.models import Segment
from inference.values import Utterance, Word

FORMATS = {"srt": (srt, "application/x-subrip"), "vtt": (vtt, "text/vtt")}


class SubtitleSerializer(serializers.Serializer[dict[str, str]]):
    """Which subtitles are wanted."""

    kind = serializers.ChoiceField(choices=sorted(FORMATS), default="vtt", help_text="vtt or srt.")
    part = serializers.UUIDField(required=False, help_text="Of a mixed document; its first recording where not given.")


class DocumentSubtitlesView(APIView):
    """Subtitles of a recording."""

    @extend_schema(parameters=[SubtitleSerializer], responses={(200, "text/vtt"): OpenApiTypes.STR})
    def get(self, request: Request, document_id: UUID) -> HttpResponse:
        """Download the speech of a document's recording as WebVTT or SubRip; empty where nobody speaks."""
        fields = SubtitleSerializer(data=request.query_params)
        fields.is_valid(raise_exception=True)
        user = user_of(request)
        document = document_get(user=user, document_id=document_id)
        with acting_as(user):
            found = list(document.segments.filter(kind="speech").order_by("ordinal"))
        part = fields.validated_data.get("part") or (found[0].part_id if found else None)
        spoken = [one for one in found if one.part_id == part]
        if fields.validated_data.get("part") and not spoken:
            raise NotFound("the document has no speech in such a part")
        write, media_type = FORMATS[fields.validated_data["kind"]]
        cues = utterance_cues(map(_utterance, spoken), speakers=[one.anchor.get("speaker") for one in spoken])
        return HttpResponse(write(cues), content_type=f"{media_type}; charset=utf-8")


def _utterance(segment: Segment) -> Utterance:
    words = tuple(
        Word(text=text, start_s=start_s, end_s=end_s, probability=0.0) for text, start_s, end_s in segment.words or ()
    )
    return Utterance(
        text=segment.text,
        start_s=segment.anchor["start_s"],
        end_s=segment.anchor["end_s"],
        words=words,
        language=segment.language,
    )
