"""How far a document is: the progress of its latest job."""

from __future__ import annotations

from core.documents.models import Document, DocumentState
from core.jobs.plan import Progress
from core.jobs.service import job_progress


def document_progress(document: Document) -> Progress:
    """Return how far the latest job of a document is; inside the caller's identity."""
    job = document.jobs.order_by("-created_at").first()
    if job is None:
        return Progress(done=0, total=0, stage="", percent=100 if document.state == DocumentState.READY else 0)
    return job_progress(job)
