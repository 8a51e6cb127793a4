"""Jobs: how far they are, cancelling them, trying failed ones again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.acting import acting_as
from core.access.lookup import collection_by_name
from core.access.models import User
from core.api.paging import PageSerializer, page_of
from core.api.requests import user_of
from core.jobs.control import job_cancel, job_retry, jobs_visible
from core.jobs.models import Job, JobState
from core.jobs.service import job_get, job_progress


class JobFilterSerializer(PageSerializer):
    """Which jobs are wanted."""

    state = serializers.ChoiceField(choices=JobState.choices, required=False)
    collection = serializers.CharField(max_length=200, required=False, help_text="Name or id.")
    document = serializers.UUIDField(required=False)


def job_json(job: Job) -> dict[str, Any]:
    """Return the public form of a job with its progress; inside the caller's identity."""
    progress = job_progress(job)
    return {
        "id": str(job.pk),
        "document": str(job.document_id),
        "collection": str(job.collection_id),
        "state": job.state,
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "done": progress.done,
        "total": progress.total,
        "percent": progress.percent,
        "stage": progress.stage,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def job_told(*, user: User, job_id: UUID) -> dict[str, Any]:
    """Return the public form of one job, read afresh.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
    """
    job = job_get(user=user, job_id=job_id)
    with acting_as(user):
        return job_json(job)


class JobListView(APIView):
    """Jobs."""

    @extend_schema(operation_id="job_list", parameters=[JobFilterSerializer], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """List the jobs of the documents you may see, newest first."""
        user = user_of(request)
        fields = JobFilterSerializer(data=request.query_params)
        fields.is_valid(raise_exception=True)
        wanted = fields.validated_data
        collection = (
            collection_by_name(user=user, name_or_id=wanted["collection"]) if wanted.get("collection") else None
        )
        with acting_as(user):
            found = jobs_visible(user).order_by("-created_at", "pk")
            if collection is not None:
                found = found.filter(collection=collection)
            if "state" in wanted:
                found = found.filter(state=wanted["state"])
            if "document" in wanted:
                found = found.filter(document_id=wanted["document"])
            page = page_of(request, found)
            listed = [job_json(one) for one in page.rows]
        return Response({"jobs": listed, **page.as_json()})


class JobView(APIView):
    """One job."""

    @extend_schema(operation_id="job_get", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, job_id: UUID) -> Response:
        """Return a job with its progress; ``/api/jobs/{id}/events`` tells it while it changes."""
        return Response(job_told(user=user_of(request), job_id=job_id))

    @extend_schema(operation_id="job_cancel", request=None, responses=OpenApiTypes.OBJECT)
    def delete(self, request: Request, job_id: UUID) -> Response:
        """Cancel a job; nothing that runs for it is stored any more, and its document can be sent again."""
        user = user_of(request)
        job_cancel(user=user, job_id=job_id)
        return Response(job_told(user=user, job_id=job_id))


class JobRetryView(APIView):
    """Trying again."""

    @extend_schema(operation_id="job_retry", request=None, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, job_id: UUID) -> Response:
        """Begin the document of a failed or cancelled job again; returns the new job."""
        user = user_of(request)
        job = job_retry(user=user, job_id=job_id)
        return Response(job_told(user=user, job_id=job.pk), status=status.HTTP_201_CREATED)
