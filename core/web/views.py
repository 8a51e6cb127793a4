"""The pages: collections, documents, search, ask; each view makes one domain call."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.access.acting import acting_as
from core.access.errors import CloisterError, NotFound
from core.access.models import Collection, User
from core.access.service import collection_create, collection_get, may_edit, visible_to
from core.answers.service import answer_create, answer_json
from core.documents.models import Document, DocumentState
from core.documents.service import document_get, documents_visible
from core.jobs.progress import document_progress
from core.remote import WorkerRefused, WorkerUnavailable, query_embed
from core.search.service import segments_search
from core.segments.models import Segment
from inference.values import SEGMENT_KINDS

DOCUMENTS_SHOWN = 200
SEGMENTS_SHOWN = 500
HITS_SHOWN = 10


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentRow:
    """One line of the table of documents."""

    document: Document
    percent: int
    stage: str


@dataclasses.dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment of a document's page."""

    segment: Segment
    where: str
    start_s: float | None
    chosen: bool


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _collection(request: HttpRequest, collection_id: UUID) -> Collection:
    try:
        return collection_get(user=_user(request), collection_id=collection_id)
    except NotFound as error:
        raise Http404(str(error)) from error


def where(anchor: dict[str, Any]) -> str:
    """Say in words where an anchor points."""
    prefix = f"{anchor['part']}, " if anchor.get("part") else ""
    if "page" in anchor:
        return f"{prefix}page {anchor['page']}"
    if "start_s" in anchor:
        speaker = f" {anchor['speaker']}" if anchor.get("speaker") else ""
        return f"{prefix}{_clock(anchor['start_s'])}–{_clock(anchor['end_s'])}{speaker}"
    if "frame_s" in anchor:
        return f"{prefix}frame at {_clock(anchor['frame_s'])}"
    if "sheet" in anchor:
        return f"{prefix}{anchor['sheet']} {anchor['cells']}"
    return f"{prefix}characters {anchor['start_char']}–{anchor['end_char']}"


def _clock(seconds_s: float) -> str:
    minutes, rest = divmod(int(seconds_s), 60)
    return f"{minutes}:{rest:02d}"


@login_required
@require_http_methods(["GET", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """List the collections; POST makes one."""
    user = _user(request)
    if request.method == "POST":
        try:
            made = collection_create(user=user, name=request.POST.get("name", ""))
            return redirect("collection", made.pk)
        except CloisterError as error:
            messages.error(request, str(error))
    with acting_as(user):
        found = list(visible_to(user).annotate(document_count=Count("documents")).order_by("name"))
    return render(request, "web/home.html", {"collections": found})


@login_required
@require_GET
def collection(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Show one collection: ask, search, documents."""
    found = _collection(request, collection_id)
    context = {
        "collection": found,
        "kinds": SEGMENT_KINDS,
        "may_edit": may_edit(_user(request), found),
        **_document_rows(_user(request), found),
    }
    return render(request, "web/collection.html", context)


@login_required
@require_GET
def documents(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Render the table of documents; htmx asks again while something is unfinished."""
    found = _collection(request, collection_id)
    return render(request, "web/documents.html", {"collection": found, **_document_rows(_user(request), found)})


def _document_rows(user: User, found: Collection) -> dict[str, Any]:
    with acting_as(user):
        listed = list(documents_visible(user).filter(collection=found).order_by("-created_at")[:DOCUMENTS_SHOWN])
        rows = []
        for document in listed:
            progress = document_progress(document)
            rows.append(DocumentRow(document=document, percent=progress.percent, stage=progress.stage))
    unfinished = any(row.document.state in (DocumentState.QUEUED, DocumentState.RUNNING) for row in rows)
    return {"rows": rows, "unfinished": unfinished}


@login_required
@require_POST
def search(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Render the hits of a search by words, a picture, or both."""
    found = _collection(request, collection_id)
    text, image = request.POST.get("text", "").strip(), request.FILES.get("image")
    if not text and image is None:
        return render(request, "web/hits.html", {"error": "Enter words or choose a picture."})
    started = time.perf_counter()
    kind = request.POST.get("kind")
    try:
        result = segments_search(
            user=_user(request),
            embedder=query_embed,
            text=text or None,
            image=image.read() if image is not None else None,
            collection_ids=[found.pk],
            kinds=[kind] if kind else [],
            limit=HITS_SHOWN,
        )
    except (WorkerUnavailable, WorkerRefused) as error:
        return render(request, "web/hits.html", {"error": str(error)})
    hits = [{"segment": hit.segment, "snippet": hit.snippet, "where": where(hit.segment.anchor)} for hit in result.hits]
    took_ms = round((time.perf_counter() - started) * 1000)
    return render(request, "web/hits.html", {"hits": hits, "took_ms": took_ms})


@login_required
@require_POST
def ask(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Store a question; the page then follows its events."""
    found = _collection(request, collection_id)
    question = request.POST.get("question", "").strip()
    if not question:
        return JsonResponse({"error": {"code": "invalid", "message": "Enter a question."}}, status=400)
    answer = answer_create(user=_user(request), collection_id=found.pk, question=question)
    return JsonResponse(answer_json(answer), status=201)


@login_required
@require_GET
def document(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Show what was read from a document, opened at one segment."""
    user = _user(request)
    try:
        found = document_get(user=user, document_id=document_id)
    except NotFound as error:
        raise Http404(str(error)) from error
    with acting_as(user):
        segments = list(found.segments.order_by("ordinal")[:SEGMENTS_SHOWN])
    chosen = request.GET.get("segment", "")
    rows = [
        SegmentRow(
            segment=one,
            where=where(one.anchor),
            start_s=one.anchor.get("start_s", one.anchor.get("frame_s")),
            chosen=str(one.pk) == chosen,
        )
        for one in segments
    ]
    family = found.media_type.split("/", 1)[0]
    player = family if family in ("audio", "video") else ""
    return render(request, "web/document.html", {"document": found, "rows": rows, "player": player})
