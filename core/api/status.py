"""Whether the stack is up, and what its workers hold."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.remote import worker_status


class StatusView(APIView):
    """Liveness for everybody; engines and workers for those who are logged in."""

    permission_classes = [AllowAny]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Say that the web server answers; with a token also what the engine host reports."""
        body: dict[str, object] = {"web": "ready"}
        if request.user.is_authenticated and request.query_params.get("workers", "1") != "0":
            body["workers"] = worker_status()
        return Response(body)
