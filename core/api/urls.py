"""Addresses of the REST API."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from core.api.answers import AnswerListView, AnswerView
from core.api.audit import AuditView
from core.api.collections import CollectionListView, CollectionMembersView, CollectionView
from core.api.document_subtitles import DocumentSubtitlesView
from core.api.documents import (
    DocumentContentView,
    DocumentListView,
    DocumentSegmentsView,
    DocumentView,
    SegmentPictureView,
)
from core.api.jobs import JobListView, JobRetryView, JobView
from core.api.people import GroupListView, GroupView, TokenListView, TokenView, UserListView, UserView
from core.api.search import SearchView
from core.api.spaces import space_paths
from core.api.status import StatusView
from core.api.streams import answer_events, job_events
from core.api.throttles import AskThrottle, SearchThrottle, UploadThrottle
from core.api.workers import WorkerListView

urlpatterns = [
    path("status", StatusView.as_view()),
    path("collections", CollectionListView.as_view()),
    path("collections/<uuid:collection_id>", CollectionView.as_view()),
    path("collections/<uuid:collection_id>/members", CollectionMembersView.as_view()),
    path("documents", DocumentListView.as_view(throttle_classes=[UploadThrottle])),
    path("documents/<uuid:document_id>", DocumentView.as_view()),
    path("documents/<uuid:document_id>/content", DocumentContentView.as_view()),
    path("documents/<uuid:document_id>/segments", DocumentSegmentsView.as_view()),
    path("documents/<uuid:document_id>/subtitles", DocumentSubtitlesView.as_view()),
    path("segments/<uuid:segment_id>/picture", SegmentPictureView.as_view()),
    path("jobs", JobListView.as_view()),
    path("jobs/<uuid:job_id>", JobView.as_view()),
    path("jobs/<uuid:job_id>/retry", JobRetryView.as_view()),
    path("jobs/<uuid:job_id>/events", job_events),
    path("tokens", TokenListView.as_view()),
    path("tokens/<str:token_key>", TokenView.as_view()),
    path("groups", GroupListView.as_view()),
    path("groups/<int:group_id>", GroupView.as_view()),
    path("users", UserListView.as_view()),
    path("users/<int:user_id>", UserView.as_view()),
    path("audit", AuditView.as_view()),
    path("workers", WorkerListView.as_view()),
    path("search", SearchView.as_view(throttle_classes=[SearchThrottle])),
    *space_paths,
    path("answers", AnswerListView.as_view(throttle_classes=[AskThrottle])),
    path("answers/<uuid:answer_id>", AnswerView.as_view()),
    path("answers/<uuid:answer_id>/events", answer_events),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
