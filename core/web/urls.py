"""Addresses of the pages."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from core.web import views

urlpatterns = [
    path("login", LoginView.as_view(template_name="web/login.html"), name="login"),
    path("logout", LogoutView.as_view(next_page="login"), name="logout"),
    path("", views.home, name="home"),
    path("c/<uuid:collection_id>", views.collection, name="collection"),
    path("c/<uuid:collection_id>/documents", views.documents, name="documents"),
    path("c/<uuid:collection_id>/search", views.search, name="search"),
    path("c/<uuid:collection_id>/ask", views.ask, name="ask"),
    path("d/<uuid:document_id>", views.document, name="document"),
]
