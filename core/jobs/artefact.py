"""Bytes that a job makes on the way, recorded so that none outlives its use."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from core.access.acting import acting_as_system
from core.documents.storage import artefact_path, artefact_remove, artefact_size_bytes, artefact_write
from core.jobs.errors import LeaseLost
from core.jobs.models import Artefact, Job
from core.jobs.steps import step_fenced


def artefact_store(*, step_id: UUID, lease_token: UUID, content: bytes) -> str:
    """Store bytes for the job of a held step and return their sha256.

    Raises:
        LeaseLost: The token is not the current one; nothing is recorded.
    """
    digest = artefact_write(content)
    try:
        with acting_as_system():
            job = step_fenced(step_id, lease_token).job
            _locked(digest)
            # A collector may have removed the bytes before this lock; from here on it finds the row.
            if not artefact_path(digest).exists():
                artefact_write(content)
            Artefact.objects.get_or_create(
                job=job, sha256=digest, defaults={"collection_id": job.collection_id, "size_bytes": len(content)}
            )
    except LeaseLost:
        artefacts_collect([digest])
        raise
    return digest


def artefacts_keep(*, job: Job, digests: Iterable[str]) -> list[str]:
    """Keep exactly these artefacts of the job beyond its end, inside the caller's transaction.

    Returns:
        Digests of the document's artefacts that are no longer kept, to be handed to ``artefacts_collect``.

    Raises:
        BytesMissing: One of them was never stored.
    """
    kept = sorted(set(digests))
    for digest in kept:
        _locked(digest)
        Artefact.objects.update_or_create(
            job=job,
            sha256=digest,
            defaults={"kept": True},
            create_defaults={
                "kept": True,
                "collection_id": job.collection_id,
                "size_bytes": artefact_size_bytes(digest),
            },
        )
    released = Artefact.objects.filter(job__document_id=job.document_id, kept=True).exclude(job=job, sha256__in=kept)
    freed = list(released.values_list("sha256", flat=True))
    released.update(kept=False)
    return freed


def artefacts_end(*, document_id: UUID) -> list[str]:
    """Delete the rows of a document's artefacts that are not kept, inside the caller's transaction.

    Returns:
        Their digests, to be handed to ``artefacts_collect`` after the transaction.
    """
    ended = Artefact.objects.filter(job__document_id=document_id, kept=False)
    digests = list(ended.values_list("sha256", flat=True))
    ended.delete()
    return digests


def artefacts_collect(digests: Iterable[str]) -> list[str]:
    """Remove the files of artefacts that no row names any more; returns the digests removed."""
    removed = []
    for digest in sorted(set(digests)):
        with acting_as_system():
            _locked(digest)
            if not Artefact.objects.filter(sha256=digest).exists() and artefact_remove(digest):
                removed.append(digest)
    return removed


def _locked(digest: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [digest])
