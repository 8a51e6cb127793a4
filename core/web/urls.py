"""Addresses of the pages."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from core.web import manage, views

urlpatterns = [
    path("login", manage.ThrottledLoginView.as_view(), name="login"),
    path("logout", LogoutView.as_view(next_page="login"), name="logout"),
    path("", views.home, name="home"),
    path("c/<uuid:collection_id>", views.collection, name="collection"),
    path("c/<uuid:collection_id>/documents", views.documents, name="documents"),
    path("c/<uuid:collection_id>/search", views.search, name="search"),
    path("c/<uuid:collection_id>/ask", views.ask, name="ask"),
    path("c/<uuid:collection_id>/members", manage.members, name="members"),
    path("c/<uuid:collection_id>/rename", manage.collection_change, name="collection_rename"),
    path("c/<uuid:collection_id>/erase", manage.collection_remove, name="collection_erase"),
    path("d/<uuid:document_id>", views.document, name="document"),
    path("d/<uuid:document_id>/<str:action>", manage.document_act, name="document_act"),
]
