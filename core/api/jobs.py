"""Jobs and how far they are."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.acting import acting_as
from core.access.errors import NotFound
from core.access.service import visible_to
from core.api.requests import user_of
from core.jobs.models import Job
from core.jobs.service import job_progress


class JobView(APIView):
    """One job."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, job_id: UUID) -> Response:
        """Return a job with its progress."""
        user = user_of(request)
        with acting_as(user):
            job = Job.objects.filter(pk=job_id, collection__in=visible_to(user)).first()
            if job is None:
                raise NotFound("there is no such job")
            progress = job_progress(job)
        error = {"code": job.error_code, "message": job.error_message} if job.error_code else None
        return Response(
            {
                "id": str(job.pk),
                "document": str(job.document_id),
                "state": job.state,
                "error": error,
                "done": progress.done,
                "total": progress.total,
                "percent": progress.percent,
                "stage": progress.stage,
            }
        )
