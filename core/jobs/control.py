"""What people do to jobs: look at them, cancel them, try failed ones again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Conflict, NotFound
from core.access.models import User
from core.access.service import audit, edit_require, visible_to
from core.documents.models import Document, DocumentState
from core.jobs.artefact import artefacts_collect, artefacts_end
from core.jobs.models import Job, JobState, Step, StepState
from core.jobs.service import document_resubmit, job_get
from core.jobs.steps import LIVE_JOBS, job_locked

CANCELLED = "cancelled"


def jobs_visible(user: User) -> QuerySet[Job]:
    """Return the jobs of documents that ``user`` may read; evaluate it inside ``acting_as``."""
    return Job.objects.filter(collection__in=visible_to(user))


def job_latest(*, user: User, document_id: UUID) -> Job:
    """Return the latest job of a document.

    Raises:
        NotFound: There is none, or ``user`` may not see it.
    """
    with acting_as(user):
        found = jobs_visible(user).filter(document_id=document_id).order_by("-created_at").first()
    if found is None:
        raise NotFound(f"there is no job of document {document_id}")
    return found


def job_cancel(*, user: User, job_id: UUID, now: datetime | None = None) -> Job:
    """End a job: its open steps are dead, what a running one would still store is refused by its lost lease.

    The document has then failed with the code ``cancelled``, and may be sent or retried again.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        Forbidden: ``user`` may only read its collection.
        Conflict: It has ended already.
    """
    now = now or timezone.now()
    _edit_require(user, job_get(user=user, job_id=job_id))
    with acting_as_system():
        job = job_locked(job_id)
        if job.state not in LIVE_JOBS:
            raise Conflict(f"the job has ended already: it is {job.state}")
        message = f"cancelled by {user.get_username()}; send the document again or retry the job"
        _steps_end(job, message, now)
        job.state, job.error_code, job.error_message, job.finished_at = JobState.CANCELLED, CANCELLED, message, now
        job.save(update_fields=["state", "error_code", "error_message", "finished_at"])
        Document.objects.filter(pk=job.document_id).update(
            state=DocumentState.FAILED, error_code=CANCELLED, error_message=message, finished_at=now
        )
        _note(user, "job_cancel", job)
        digests = artefacts_end(document_id=job.document_id)
        transaction.on_commit(lambda: artefacts_collect(digests), robust=True)
    return job


def job_retry(*, user: User, job_id: UUID, now: datetime | None = None) -> Job:
    """Begin a failed or cancelled document again from its stored bytes; returns the new job.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        Forbidden: ``user`` may only read its collection.
        Conflict: The job has not failed, or a later job took its place.
    """
    now = now or timezone.now()
    _edit_require(user, job_get(user=user, job_id=job_id))
    with acting_as_system():
        job = job_locked(job_id)
        document = Document.objects.select_for_update().get(pk=job.document_id)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise Conflict(f"only failed and cancelled jobs are tried again; this one is {job.state}")
        if document.state != DocumentState.FAILED or job.document.jobs.filter(created_at__gt=job.created_at).exists():
            raise Conflict(f"a later job took this one's place; the document is {document.state}")
        _note(user, "job_retry", job)
        return document_resubmit(document, user, now)


def _note(user: User, action: str, job: Job) -> None:
    detail = {"document": str(job.document_id), "collection": str(job.collection_id)}
    audit(user=user, action=action, subject=str(job.pk), detail=detail)


def _edit_require(user: User, job: Job) -> None:
    with acting_as(user):
        edit_require(user=user, collection=job.collection)


def _steps_end(job: Job, message: str, now: datetime) -> None:
    Step.objects.filter(job=job, state__in=[StepState.PENDING, StepState.LEASED]).update(
        state=StepState.DEAD,
        lease_owner="",
        lease_token=None,
        lease_expires_at=None,
        next_ring_at=None,
        error_code=CANCELLED,
        error_message=message,
        finished_at=now,
    )
