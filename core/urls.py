"""The address map: the API under /api/, what OpenAI's clients speak under /v1/, the pages at the root."""

from django.urls import include, path

urlpatterns = [
    path("api/", include("core.api.urls")),
    path("v1/", include("core.api.openai.urls")),
    path("", include("core.web.urls")),
]
