"""The pages: collections, documents, search, ask; each view makes one domain call."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.access.acting import acting_as
from core.access.errors import CloisterError, Invalid, NotFound
from core.access.models import Collection, User
from core.access.service import collection_create, collection_get, may_edit, may_manage, visible_to
from core.answers.service import answer_create, answer_json
from core.documents.models import Document, DocumentState
from core.documents.service import document_get, documents_visible
from core.jobs.progress import document_progress
from core.remote import WorkerRefused, WorkerUnavailable, query_embed
from core.search.service import QUERY_IMAGE_MAX_MIB, segments_search
from core.segments.models import Segment
from core.web.search_form import FilterForm

DOCUMENTS_SHOWN = 200
SEGMENTS_SHOWN = 500
HITS_SHOWN = 10
QUESTION_MAX_CHARS = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document and how far it is read."""

    document: Document
    unfinished: bool
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
        "filters": FilterForm(),
        "question_max": QUESTION_MAX_CHARS,
        "may_edit": may_edit(_user(request), found),
        "may_manage": may_manage(_user(request), found),
        **document_rows(_user(request), found),
    }
    return render(request, "web/collection.html", context)


@login_required
@require_GET
def documents(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Render the table of documents; htmx asks again while something is unfinished."""
    found = _collection(request, collection_id)
    context = {"collection": found, "may_edit": may_edit(_user(request), found)}
    return render(request, "web/documents.html", {**context, **document_rows(_user(request), found)})


def document_rows(user: User, found: Collection) -> dict[str, Any]:
    """Return what the table of a collection's documents shows."""
    with acting_as(user):
        inside = documents_visible(user).filter(collection=found)
        rows = [_document_row(document) for document in inside.order_by("-created_at")[:DOCUMENTS_SHOWN]]
        total = len(rows) if len(rows) < DOCUMENTS_SHOWN else inside.count()
    unfinished = any(row.unfinished for row in rows)
    return {"rows": rows, "unfinished": unfinished, "total": total, "more": total > len(rows)}


def _document_row(document: Document) -> DocumentRow:
    if document.state not in (DocumentState.QUEUED, DocumentState.RUNNING):
        return DocumentRow(document=document, unfinished=False, percent=100, stage="")
    progress = document_progress(document)
    return DocumentRow(document=document, unfinished=True, percent=progress.percent, stage=progress.stage)


@login_required
@require_POST
def search(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Render the hits of a search by words, a picture, or both."""
    found = _collection(request, collection_id)
    text, image = request.POST.get("text", "").strip(), request.FILES.get("image")
    form = FilterForm(request.POST)
    if problem := _query_problem(text, image) or form.problem():
        return render(request, "web/hits.html", {"error": problem})
    started = time.perf_counter()
    try:
        result = segments_search(
            user=_user(request),
            embedder=query_embed,
            text=text or None,
            typed=True,
            image=image.read() if image is not None else None,
            collection_ids=[found.pk],
            filter=form.narrowing(),
            neighbours=int(form.cleaned_data["around"]),
            limit=HITS_SHOWN,
            whole=False,
        )
    except (WorkerUnavailable, WorkerRefused, Invalid) as error:
        return render(request, "web/hits.html", {"error": str(error)})
    hits = [{"hit": hit, "segment": hit.segment, "where": where(hit.segment.anchor)} for hit in result.hits]
    took_ms = round((time.perf_counter() - started) * 1000)
    return render(request, "web/hits.html", {"hits": hits, "took_ms": took_ms})


def _query_problem(text: str, image: UploadedFile[bytes] | None) -> str:
    if not text and image is None:
        return "Enter words or choose a picture."
    if len(text) > QUESTION_MAX_CHARS:
        return f"The query has {len(text)} characters; the limit is {QUESTION_MAX_CHARS}."
    if image is not None and (image.size or 0) > QUERY_IMAGE_MAX_MIB * 2**20:
        return f"The picture is larger than {QUERY_IMAGE_MAX_MIB} MiB; choose a smaller one."
    return ""


@login_required
@require_POST
def ask(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Store a question; the page then follows its events."""
    found = _collection(request, collection_id)
    question = request.POST.get("question", "").strip()
    if not question or len(question) > QUESTION_MAX_CHARS:
        problem = f"Enter a question of at most {QUESTION_MAX_CHARS} characters."
        return JsonResponse({"error": {"code": "invalid", "message": problem}}, status=400)
    before = request.POST.get("conversation", "")
    try:
        answer = answer_create(
            user=_user(request),
            collection_id=found.pk,
            question=question,
            follows=UUID(before) if _is_uuid(before) else None,
        )
    except NotFound as error:
        return JsonResponse({"error": {"code": error.code, "message": str(error)}}, status=404)
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
        row = _document_row(found)
        shown = _segments_shown(found, chosen=request.GET.get("segment", ""), start=request.GET.get("from", ""))
    family = found.media_type.split("/", 1)[0]
    player = family if family in ("audio", "video") else ""
    return render(request, "web/document.html", {"document": found, "row": row, "player": player, **shown})


def _segments_shown(found: Document, *, chosen: str, start: str) -> dict[str, Any]:
    """Return one page of segments: the one with the chosen segment, else the one that starts at ``start``."""
    segments, total = found.segments.order_by("ordinal"), found.segments.count()
    begin = int(start) if start.isdecimal() else 0
    if _is_uuid(chosen) and (marked := segments.filter(pk=chosen).first()) is not None:
        begin = segments.filter(ordinal__lt=marked.ordinal).count()
    begin -= begin % SEGMENTS_SHOWN
    rows = [_segment_row(one, chosen) for one in segments[begin : begin + SEGMENTS_SHOWN]]
    end = begin + len(rows)
    return {
        "segments": rows,
        "total": total,
        "first": begin + 1,
        "last": end,
        "earlier": begin - SEGMENTS_SHOWN if begin else None,
        "later": end if end < total else None,
    }


def _segment_row(segment: Segment, chosen: str) -> SegmentRow:
    return SegmentRow(
        segment=segment,
        where=where(segment.anchor),
        start_s=segment.anchor.get("start_s", segment.anchor.get("frame_s")),
        chosen=str(segment.pk) == chosen,
    )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
