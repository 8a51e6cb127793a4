"""GET /v1/models and /v1/models/{id}."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from core.api.openai.base import OpenAIView
from core.api.openai.models import model_named, models_listed


class ModelListView(OpenAIView):
    """The models of this host."""

    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """List what may be named as a model."""
        return Response({"object": "list", "data": [one.as_json() for one in models_listed()]})


class ModelView(OpenAIView):
    """One model."""

    def get(self, request: Request, model: str) -> Response:  # noqa: ARG002 - DRF's signature
        """Return one model; its role is a name too."""
        return Response(model_named(model).as_json())
