"""The workers: which engines and models they hold, and how much memory that takes."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.remote import worker_heartbeats


class WorkerListView(APIView):
    """The workers."""

    @extend_schema(operation_id="worker_list", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Tell what every living worker of every host last said of itself: its engines, their models and memory."""
        return Response({"workers": worker_heartbeats()})
