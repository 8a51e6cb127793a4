"""Addresses of the REST API."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from core.api.answers import AnswerListView, AnswerView
from core.api.collections import CollectionListView, CollectionMembersView
from core.api.documents import (
    DocumentContentView,
    DocumentListView,
    DocumentSegmentsView,
    DocumentView,
    SegmentPictureView,
)
from core.api.jobs import JobView
from core.api.search import SearchView
from core.api.status import StatusView
from core.api.streams import answer_events

urlpatterns = [
    path("status", StatusView.as_view()),
    path("collections", CollectionListView.as_view()),
    path("collections/<uuid:collection_id>/members", CollectionMembersView.as_view()),
    path("documents", DocumentListView.as_view()),
    path("documents/<uuid:document_id>", DocumentView.as_view()),
    path("documents/<uuid:document_id>/content", DocumentContentView.as_view()),
    path("documents/<uuid:document_id>/segments", DocumentSegmentsView.as_view()),
    path("segments/<uuid:segment_id>/picture", SegmentPictureView.as_view()),
    path("jobs/<uuid:job_id>", JobView.as_view()),
    path("search", SearchView.as_view()),
    path("answers", AnswerListView.as_view()),
    path("answers/<uuid:answer_id>", AnswerView.as_view()),
    path("answers/<uuid:answer_id>/events", answer_events),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
