"""Documents: sending, listing, downloading, erasing."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import FileResponse, HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.acting import acting_as
from core.access.errors import NotFound, TooLarge
from core.access.lookup import collection_by_name
from core.access.models import Collection, User
from core.access.service import collection_get_or_create
from core.api.conditional import CACHE_CONTROL, etag_of, json_answer, range_wanted, unchanged
from core.api.paging import PageSerializer, page_of
from core.api.ranges import range_serve
from core.api.requests import user_of
from core.documents.labels import LABEL_FIELDS, Labels
from core.documents.models import Document, DocumentState
from core.documents.service import PartUpload, document_change, document_get, documents_visible, part_open
from core.documents.storage import artefact_read
from core.erasure.service import document_erase
from core.jobs.progress import document_progress
from core.jobs.service import document_submit
from core.segments.models import Segment
from core.settings.env import env


class DocumentFilterSerializer(PageSerializer):
    """Which documents are wanted."""

    collection = serializers.CharField(max_length=200, required=False, help_text="Name or id.")
    state = serializers.ChoiceField(choices=DocumentState.choices, required=False)


class LabelSerializer(serializers.Serializer[dict[str, Any]]):
    """What may be said about a document, for filters."""

    tags = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=50)
    metadata = serializers.JSONField(
        required=False, help_text="Key to text, number, true or false; a text YYYY-MM-DD is a date; null takes out."
    )
    date = serializers.DateField(required=False, allow_null=True, help_text="YYYY-MM-DD.")


class DocumentChangeSerializer(LabelSerializer):
    """What may be changed of a document."""

    title = serializers.CharField(max_length=500, required=False)


class DocumentUploadSerializer(LabelSerializer):
    """One file (multipart), several files of one mixed document, or inline text (JSON)."""

    collection = serializers.CharField(max_length=200, help_text="Name or id; a new name makes a collection.")
    file = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True), required=False, help_text="One file a part."
    )
    title = serializers.CharField(max_length=500, required=False)
    content = serializers.CharField(required=False, help_text="Inline text.", trim_whitespace=False)
    path = serializers.CharField(max_length=2000, required=False, help_text="Path as you know it; shown only.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a document without parts, and files over the limit."""
        if not attrs.get("file") and not attrs.get("content"):
            raise serializers.ValidationError("send a file, or JSON with title and content")
        if attrs.get("content") and not attrs.get("title"):
            raise serializers.ValidationError("inline text needs a title")
        limit_mib = env().upload_max_mib
        for file in attrs.get("file", ()):
            if file.size > limit_mib * 2**20:
                raise TooLarge(f"'{file.name}' has {file.size / 2**20:.0f} MiB; the limit is {limit_mib} MiB")
        return attrs


def document_json(user: User, document: Document) -> dict[str, Any]:
    """Return the public form of a document with its progress."""
    with acting_as(user):
        progress = document_progress(document)
        segments = document.segments.count()
        note = _unspoken(document) if document.state == DocumentState.READY and not segments else None
    error = {"code": document.error_code, "message": document.error_message} if document.error_code else None
    ended = document.finished_at
    return {
        "id": str(document.pk),
        "collection": str(document.collection_id),
        "title": document.title,
        "path": document.path,
        "sha256": document.sha256,
        "media_type": document.media_type,
        "size_bytes": document.size_bytes,
        "language": document.language or None,
        "tags": document.tags,
        "metadata": document.metadata,
        "date": document.date.isoformat() if document.date else None,
        "state": document.state,
        "error": error,
        "note": note,
        "segments": segments,
        "seconds": round((ended - document.created_at).total_seconds(), 3) if ended else None,
        "progress": {
            "done": progress.done,
            "total": progress.total,
            "percent": progress.percent,
            "stage": progress.stage,
        },
        "created_at": document.created_at.isoformat(),
    }


def _unspoken(document: Document) -> str | None:
    heard_s = sum(part.duration_s or 0.0 for part in document.parts.all())
    return f"no speech was found in {heard_s:.0f} s of sound, so there is nothing to search for" if heard_s else None


class DocumentListView(APIView):
    """Documents."""

    parser_classes = [MultiPartParser, FormParser, JSONParser]

    @extend_schema(operation_id="document_list", parameters=[DocumentFilterSerializer], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """List the documents you may see, newest first."""
        user = user_of(request)
        fields = DocumentFilterSerializer(data=request.query_params)
        fields.is_valid(raise_exception=True)
        name, state = fields.validated_data.get("collection"), fields.validated_data.get("state")
        collection = collection_by_name(user=user, name_or_id=name) if name else None
        with acting_as(user):
            found = documents_visible(user).order_by("-created_at", "pk")
            if collection is not None:
                found = found.filter(collection=collection)
            if state is not None:
                found = found.filter(state=state)
            page = page_of(request, found)
        return Response({"documents": [document_json(user, one) for one in page.rows], **page.as_json()})

    @extend_schema(
        operation_id="document_create", request=DocumentUploadSerializer, responses={201: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        """Add a document; the same bytes again in the same collection are the same document (200 instead of 201)."""
        fields = DocumentUploadSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        wanted, user = fields.validated_data, user_of(request)
        files = wanted.get("file", [])
        title = wanted.get("title") or files[0].name
        parts = [PartUpload(name=file.name, content=file) for file in files]
        if wanted.get("content"):
            parts.insert(0, PartUpload(name=title, content=wanted["content"], kind="text"))
        document, created = document_submit(
            user=user,
            collection=collection_wanted(user, wanted["collection"]),
            parts=parts,
            title=title,
            path=wanted.get("path", ""),
            labels=cast(Labels, {name: wanted[name] for name in LABEL_FIELDS if name in wanted}),
        )
        body = {**document_json(user, document), "created": created}
        return Response(body, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK)


class DocumentView(APIView):
    """One document."""

    @extend_schema(operation_id="document_get", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, document_id: UUID) -> HttpResponseBase:
        """Return a document with its state and progress."""
        user = user_of(request)
        return json_answer(request, document_json(user, document_get(user=user, document_id=document_id)))

    @extend_schema(operation_id="document_change", request=DocumentChangeSerializer, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, document_id: UUID) -> Response:
        """Change what is said about a document; editors only."""
        user = user_of(request)
        fields = DocumentChangeSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        changed = document_change(user=user, document_id=document_id, **fields.validated_data)
        return Response(document_json(user, changed))

    @extend_schema(operation_id="document_erase", responses=OpenApiTypes.OBJECT)
    def delete(self, request: Request, document_id: UUID) -> Response:
        """Erase a document with everything made from it, and return the receipt."""
        return Response(document_erase(user=user_of(request), document_id=document_id).as_json())


class DocumentContentView(APIView):
    """The bytes of a document."""

    @extend_schema(parameters=[OpenApiParameter("part", str)], responses=OpenApiTypes.BINARY)
    def get(self, request: Request, document_id: UUID) -> HttpResponseBase:
        """Download a document's first part, or the part whose id is given."""
        user = user_of(request)
        document = document_get(user=user, document_id=document_id)
        parts = {str(part.pk): part for part in document.parts.all()}
        wanted = request.query_params.get("part") or next(iter(parts), "")
        if wanted not in parts:
            raise NotFound("the document has no such part")
        part, opened = part_open(user=user, document_id=document_id, part_id=parts[wanted].pk)
        etag = etag_of(part.blob_id)
        if (answer := unchanged(request, etag)) is not None:
            opened.close()
            return answer
        # Never rendered inline as a page of ours: a stored HTML file must not run in this origin.
        inline = part.media_type.startswith(("audio/", "video/", "image/"))
        response = FileResponse(
            opened,
            as_attachment=not inline,
            filename=part.name,
            content_type=part.media_type or "application/octet-stream",
            headers={
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "sandbox",
                "ETag": etag,
                "Cache-Control": CACHE_CONTROL,
            },
        )
        return range_serve(response, opened, range_wanted(request, etag))


class DocumentSegmentsView(APIView):
    """What was read from a document."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, document_id: UUID) -> Response:
        """List a document's segments in reading order with text and anchor."""
        user = user_of(request)
        document = document_get(user=user, document_id=document_id)
        with acting_as(user):
            found = list(document.segments.order_by("ordinal"))
        return Response(
            {
                "segments": [
                    {
                        "id": str(one.pk),
                        "kind": one.kind,
                        "text": one.text,
                        "heading_path": one.heading_path,
                        "anchor": one.anchor,
                        "language": one.language or None,
                        "words": one.words,
                    }
                    for one in found
                ]
            }
        )


class SegmentPictureView(APIView):
    """The preview of a picture, page or frame."""

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY})
    def get(self, request: Request, segment_id: UUID) -> HttpResponseBase:
        """Return the stored preview of a segment."""
        user = user_of(request)
        with acting_as(user):
            found = Segment.objects.filter(pk=segment_id, document__in=documents_visible(user)).first()
        if found is None or not found.picture_sha256:
            raise NotFound("there is no such picture")
        etag = etag_of(found.picture_sha256)
        return unchanged(request, etag) or HttpResponse(
            artefact_read(found.picture_sha256),
            content_type="image/png",
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": CACHE_CONTROL, "ETag": etag},
        )


def collection_wanted(user: User, name_or_id: str) -> Collection:
    """Return the collection for a new document: by id or name among the visible ones, else made by that name.

    Raises:
        NotFound: It is an id, and ``user`` may not see such a collection.
    """
    try:
        return collection_by_name(user=user, name_or_id=name_or_id)
    except NotFound:
        try:
            UUID(name_or_id)
        except ValueError:
            return collection_get_or_create(user=user, name=name_or_id)
        raise
