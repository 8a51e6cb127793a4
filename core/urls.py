"""The address map: the API under /api/, the pages at the root."""

from django.urls import include, path

urlpatterns = [
    path("api/", include("core.api.urls")),
    path("", include("core.web.urls")),
]
