"""Addresses under /v1/."""

from __future__ import annotations

from django.urls import path

from core.api.openai.audio import TranscriptionsView, TranslationsView
from core.api.openai.chat import chat_completions
from core.api.openai.embeddings import EmbeddingsView
from core.api.openai.errors import not_found
from core.api.openai.files import FileContentView, FileListView, FileView
from core.api.openai.model_views import ModelListView, ModelView
from core.api.openai.rerank import RerankView
from core.api.openai.vector_stores import VectorStoreListView, VectorStoreSearchView, VectorStoreView

urlpatterns = [
    path("models", ModelListView.as_view()),
    path("models/<path:model>", ModelView.as_view()),
    path("chat/completions", chat_completions),
    path("embeddings", EmbeddingsView.as_view()),
    path("rerank", RerankView.as_view()),
    path("audio/transcriptions", TranscriptionsView.as_view()),
    path("audio/translations", TranslationsView.as_view()),
    path("files", FileListView.as_view()),
    path("files/<str:identifier>", FileView.as_view()),
    path("files/<str:identifier>/content", FileContentView.as_view()),
    path("vector_stores", VectorStoreListView.as_view()),
    path("vector_stores/<str:identifier>", VectorStoreView.as_view()),
    path("vector_stores/<str:identifier>/search", VectorStoreSearchView.as_view()),
    path("<path:rest>", not_found),
]
