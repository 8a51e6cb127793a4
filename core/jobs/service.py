"""Jobs and steps: submit, lease, heartbeat, finish, fail, reap; PostgreSQL is the truth, the broker a doorbell.

Everything a worker calls here enters the system's identity itself. A result is stored only where the lease token is
the caller's, in the same transaction as the result's effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Invalid, NotFound
from core.access.models import Collection, User
from core.access.service import edit_require, visible_to
from core.documents.labels import LABEL_FIELDS, Labels, labels_apply
from core.documents.models import Document, DocumentState, Part
from core.documents.service import PartUpload, blobs_claim
from core.documents.storage import StagedFile
from core.jobs.artefact import artefact_store, artefacts_collect, artefacts_end
from core.jobs.models import Job, JobState, Step, StepState
from core.jobs.plan import Progress, StepPlan
from core.jobs.steps import (
    ATTEMPTS,
    HEARTBEAT_S,
    LEASE_S,
    LIVE_JOBS,
    job_locked,
    late_ring,
    ready_ring,
    stage_is_complete,
    step_bury,
    step_held,
    step_is_ready,
    step_put_back,
    step_recover,
    steps_add,
)
from core.settings.env import env
from inference.values import SourceInfo

__all__ = [
    "ATTEMPTS",
    "HEARTBEAT_S",
    "LEASE_S",
    "PartUpload",
    "Progress",
    "StepPlan",
    "artefact_store",
    "document_resubmit",
    "document_submit",
    "job_finish",
    "job_get",
    "job_progress",
    "leases_reap",
    "leases_release",
    "part_add",
    "part_describe",
    "stage_complete",
    "step_fail",
    "step_finish",
    "step_heartbeat",
    "step_lease",
    "steps_plan",
]

FIRST_STEP = StepPlan(kind="probe", key="0", stage=0)

RING_BATCH = 500

SAME_BYTES = "same_bytes_once_per_collection"


def document_submit(
    *,
    user: User,
    collection: Collection,
    parts: Sequence[PartUpload],
    title: str = "",
    path: str = "",
    labels: Labels | None = None,
    now: datetime | None = None,
) -> tuple[Document, bool]:
    """Store one document of one or several parts and plan its first step.

    Args:
        user: Who sends it and must be an editor of ``collection``.
        collection: Where it belongs.
        parts: At least one, in reading order.
        title: Shown; without it the first part's name.
        path: As the client names it.
        labels: Tags, metadata and date; also put on a document that is there already.
        now: The clock; None reads it.

    Returns:
        The document, and whether it is new. The same bytes are one document of a collection: when they are there
        already, that one is returned, and if it had failed it gets a new job.

    Raises:
        Invalid: There is no part, or one has no name.
        NotFound: ``user`` may not see the collection.
        Forbidden: ``user`` may only read it.
        TooLarge: A part is larger than CLOISTER_UPLOAD_MAX_MIB.
    """
    now = now or timezone.now()
    labels = labels or {}
    labels_apply(Document(), labels)
    if not parts:
        raise Invalid("a document has at least one part")
    if not all(part.name.strip() for part in parts):
        raise Invalid("every part of a document has a name")
    edit_require(user=user, collection=collection)
    staged: list[StagedFile] = []
    try:
        for part in parts:
            staged.append(part.stage(limit_bytes=env().upload_max_mib * 1024 * 1024))  # noqa: PERF401
        draft = _draft(user=user, collection=collection, parts=parts, staged=staged, title=title, path=path)
        with acting_as(user):
            edit_require(user=user, collection=collection)
            return _submit(draft, labels, parts, staged, now)
    finally:
        for one in staged:
            one.discard()


def _draft(
    *,
    user: User,
    collection: Collection,
    parts: Sequence[PartUpload],
    staged: Sequence[StagedFile],
    title: str,
    path: str,
) -> Document:
    digests = [one.sha256 for one in staged]
    joint = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return Document(
        collection=collection,
        title=(title.strip() or parts[0].name)[:500],
        path=path[:2000],
        sha256=joint,
        size_bytes=sum(one.size_bytes for one in staged),
        created_by=user,
    )


def _submit(
    draft: Document, labels: Labels, parts: Sequence[PartUpload], staged: Sequence[StagedFile], now: datetime
) -> tuple[Document, bool]:
    labels_apply(draft, labels)
    while not _inserted(draft):
        present = (
            Document.objects.select_for_update().filter(collection_id=draft.collection_id, sha256=draft.sha256).first()
        )
        if present is None:
            # It was erased in this moment: these bytes may come in again.
            continue
        if present.state == DocumentState.FAILED:
            document_resubmit(present, draft.created_by, now)
        if labels:
            labels_apply(present, labels)
            present.save(update_fields=LABEL_FIELDS)
        return present, False
    blobs_claim(staged)
    Part.objects.bulk_create(
        Part(
            document=draft,
            collection_id=draft.collection_id,
            ordinal=ordinal,
            name=part.name[:500],
            blob_id=one.sha256,
            inline=part.kind == "text",
        )
        for ordinal, (part, one) in enumerate(zip(parts, staged, strict=True))
    )
    _job_begin(draft, draft.created_by, now)
    return draft, True


def _inserted(draft: Document) -> bool:
    try:
        with transaction.atomic():
            draft.save(force_insert=True)
    except IntegrityError as error:
        if SAME_BYTES not in str(error):
            raise
        return False
    return True


def document_resubmit(document: Document, user: User, now: datetime) -> Job:
    """Begin a failed document again with a new job, inside the caller's transaction that has locked it."""
    document.state = DocumentState.QUEUED
    document.error_code = document.error_message = ""
    document.finished_at = None
    document.save(update_fields=["state", "error_code", "error_message", "finished_at"])
    return _job_begin(document, user, now)


def _job_begin(document: Document, user: User, now: datetime) -> Job:
    job = Job.objects.create(document=document, collection_id=document.collection_id, user=user)
    steps_add(job, [FIRST_STEP])
    ready_ring(job_id=job.pk, now=now)
    return job


def job_get(*, user: User, job_id: UUID) -> Job:
    """Return one job with its document.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
    """
    with acting_as(user):
        jobs = Job.objects.select_related("document").filter(collection__in=visible_to(user))
        found = jobs.filter(pk=job_id).first()
    if found is None:
        raise NotFound(f"there is no job {job_id}")
    return found


def job_progress(job: Job) -> Progress:
    """Return how far a job is; inside the caller's identity."""
    states = list(job.steps.order_by("stage").values_list("state", "kind"))
    done = sum(state == StepState.DONE for state, _ in states)
    state = Job.objects.filter(pk=job.pk).values_list("state", flat=True).first()
    if state == JobState.DONE:
        return Progress(done=done, total=len(states), stage="", percent=100)
    now_running = next((kind for state, kind in states if state in (StepState.PENDING, StepState.LEASED)), "")
    return Progress(
        done=done,
        total=len(states),
        stage=now_running,
        percent=min(99, 100 * done // max(1, len(states))),
    )


def step_lease(*, step_id: UUID, owner: str, now: datetime) -> Step | None:
    """Take a step for ``LEASE_S`` seconds; the attempt is counted before the work.

    Args:
        step_id: Which one.
        owner: Name of the worker slot.
        now: The clock.

    Returns:
        The step with its job and document, and with the ``lease_token`` that every later call needs; None when there
        is nothing to do: it is done, dead, gone, held by somebody alive, or an earlier stage is still open.
    """
    with acting_as_system():
        job = Job.objects.select_for_update(of=("self",), no_key=True).filter(steps__pk=step_id).first()
        steps = Step.objects.select_for_update(of=("self",), no_key=True).select_related("job__document")
        step = steps.filter(pk=step_id).first()
        if step is None or job is None or not _takable(step, job, now):
            return None
        if step.attempts >= ATTEMPTS:
            step_recover(step, now=now)
            return None
        step.state = StepState.LEASED
        step.attempts += 1
        step.lease_owner = owner
        step.lease_token = uuid4()
        step.lease_expires_at = now + timedelta(seconds=LEASE_S)
        step.next_ring_at = None
        step.started_at = step.started_at or now
        step.save()
        if job.state == JobState.QUEUED:
            Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
            Document.objects.filter(pk=job.document_id).update(state=DocumentState.RUNNING)
            step.job.state = JobState.RUNNING
            step.job.document.state = DocumentState.RUNNING
    return step


def _takable(step: Step, job: Job, now: datetime) -> bool:
    if job.state not in LIVE_JOBS:
        return False
    if step.state == StepState.LEASED:
        return step.lease_expires_at is not None and step.lease_expires_at <= now
    return step.state == StepState.PENDING and step_is_ready(step)


def step_heartbeat(*, step_id: UUID, lease_token: UUID, now: datetime) -> bool:
    """Extend a lease; False when it is lost and the work should end."""
    with acting_as_system():
        extended = Step.objects.filter(pk=step_id, lease_token=lease_token, state=StepState.LEASED).update(
            lease_expires_at=now + timedelta(seconds=LEASE_S)
        )
    return extended == 1


def step_finish(
    *,
    step_id: UUID,
    lease_token: UUID,
    result: Mapping[str, Any],
    next_steps: Sequence[StepPlan] = (),
    stage_plan: Callable[[], Sequence[StepPlan]] | None = None,
    now: datetime,
) -> list[Step]:
    """Store a step's result and plan what follows, in one transaction.

    Args:
        step_id: Which one.
        lease_token: That of the lease.
        result: JSON that later steps read.
        next_steps: Steps to make now; those of a later stage wait until all lower stages are done.
        stage_plan: Called only by the step that completes its stage, after its result is stored and under the job's
            lock: what the next stage consists of. When it returns nothing and no step is open, the job is done.
        now: The clock.

    Returns:
        The planned steps. The broker is told of all that are ready when the transaction commits.

    Raises:
        LeaseLost: The token is not the current one; nothing is stored.
    """
    with acting_as_system():
        step = step_held(step_id, lease_token)
        step.state = StepState.DONE
        step.result = dict(result)
        step.finished_at = now
        step.lease_owner = ""
        step.lease_token = None
        step.lease_expires_at = None
        step.error_code = step.error_message = ""
        step.save()
        planned = steps_add(step.job, next_steps)
        if stage_plan is not None and stage_is_complete(step.job_id, step.stage):
            planned += steps_add(step.job, stage_plan())
            _job_end(step.job, now)
        ready_ring(job_id=step.job_id, now=now)
    return planned


def steps_plan(*, job_id: UUID, plans: Sequence[StepPlan], now: datetime) -> list[Step]:
    """Make planned steps of a living job; those that are there already are left as they are.

    Raises:
        NotFound: There is no such job.
    """
    with acting_as_system():
        job = job_locked(job_id)
        planned = steps_add(job, plans)
        ready_ring(job_id=job_id, now=now)
    return planned


def stage_complete(job_id: UUID, stage: int) -> bool:
    """Whether every step up to and with ``stage`` is done."""
    with acting_as_system():
        return stage_is_complete(job_id, stage)


def step_fail(
    *, step_id: UUID, lease_token: UUID, code: str, message: str, retryable: bool, now: datetime
) -> StepState:
    """Give a step back after an error.

    Args:
        step_id: Which one.
        lease_token: That of the lease.
        code: That of the error's class.
        message: What a person reads.
        retryable: Whether another attempt may mend it; the third is the last.
        now: The clock.

    Returns:
        PENDING when another attempt follows, else DEAD: then job and document have failed with the same reason.

    Raises:
        LeaseLost: The token is not the current one; nothing is stored.
    """
    with acting_as_system():
        step = step_held(step_id, lease_token)
        step.error_code = code
        step.error_message = message
        if retryable and step.attempts < ATTEMPTS:
            step_put_back(step, now=now)
            return StepState.PENDING
        step_bury(step, code=code, message=message, now=now)
        _artefacts_drop(step.job.document_id)
    return StepState.DEAD


def leases_release(*, owner: str, now: datetime) -> int:
    """Take back what a worker slot held in its former life; returns how many steps."""
    return _recover(Step.objects.filter(state=StepState.LEASED, lease_owner=owner).values_list("pk", flat=True), now)


def leases_reap(*, now: datetime) -> int:
    """Take back expired leases and tell the broker again of ready steps nobody took; returns the leases taken back."""
    expired = Step.objects.filter(state=StepState.LEASED, lease_expires_at__lte=now).values_list("pk", flat=True)
    recovered = _recover(expired, now)
    with acting_as_system():
        late_ring(now=now, limit=RING_BATCH)
    return recovered


def _recover(candidates: Any, now: datetime) -> int:
    with acting_as_system():
        found = list(candidates)
    recovered = 0
    for step_id in found:
        with acting_as_system():
            # A job somebody writes to just now is not abandoned; the conditions are looked at again under its lock.
            job = (
                Job.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
                .filter(steps__pk=step_id)
                .first()
            )
            if job is None:
                continue
            step = Step.objects.select_for_update(no_key=True).filter(pk=step_id, job=job, pk__in=candidates).first()
            if step is None:
                continue
            recovered += 1
            if not step_recover(step, now=now):
                _artefacts_drop(step.job.document_id)
    return recovered


def job_finish(*, job_id: UUID, now: datetime) -> bool:
    """End a job whose steps are all done: its document is ready, its artefacts go.

    Returns:
        False when steps are still open or the job has failed; True when it is done, also when it was before.
    """
    with acting_as_system():
        return _job_end(job_locked(job_id), now)


def _job_end(job: Job, now: datetime) -> bool:
    if job.state not in LIVE_JOBS:
        return job.state == JobState.DONE
    if job.steps.exclude(state=StepState.DONE).exists():
        return False
    job.state = JobState.DONE
    job.finished_at = now
    job.save(update_fields=["state", "finished_at"])
    Document.objects.filter(pk=job.document_id).update(
        state=DocumentState.READY, finished_at=now, error_code="", error_message=""
    )
    _artefacts_drop(job.document_id)
    return True


def _artefacts_drop(document_id: UUID) -> None:
    digests = artefacts_end(document_id=document_id)
    transaction.on_commit(lambda: artefacts_collect(digests), robust=True)


def part_describe(*, step_id: UUID, lease_token: UUID, part_id: UUID, info: SourceInfo) -> Part:
    """Store what a part really is; the first part's type is also the document's.

    Raises:
        LeaseLost: The token is not the current one.
        NotFound: The part is not one of the step's document.
    """
    with acting_as_system():
        step = step_held(step_id, lease_token)
        part = Part.objects.select_related("document").filter(pk=part_id, document_id=step.job.document_id).first()
        if part is None:
            raise NotFound(f"there is no part {part_id} of document {step.job.document_id}")
        part.media_type = info.media_type
        part.family = info.family
        part.units = info.units
        part.duration_s = info.duration_s
        part.save(update_fields=["media_type", "family", "units", "duration_s"])
        top_level = part.document.parts.filter(inside_of=None).count()
        if part.inside_of_id is None:
            part.document.media_type = info.media_type if top_level == 1 else "multipart/mixed"
            part.document.save(update_fields=["media_type"])
    return part


def part_add(*, step_id: UUID, lease_token: UUID, inside_of_id: UUID, name: str, content: bytes) -> Part:
    """Add a file that parsing found inside a part; the same file found again is the same part.

    Raises:
        LeaseLost: The token is not the current one; nothing is stored.
        NotFound: The part it was found in is not one of the step's document.
    """
    staged = PartUpload(name=name, content=content).stage()
    try:
        with acting_as_system():
            step = step_held(step_id, lease_token)
            outer = Part.objects.filter(pk=inside_of_id, document_id=step.job.document_id).first()
            if outer is None:
                raise NotFound(f"there is no part {inside_of_id} of document {step.job.document_id}")
            known = outer.attachments.filter(name=name[:500], blob_id=staged.sha256).first()
            return known or _attach(outer, name, staged)
    finally:
        staged.discard()


def _attach(outer: Part, name: str, staged: StagedFile) -> Part:
    blobs_claim([staged])
    last = Part.objects.filter(document_id=outer.document_id).aggregate(last=Max("ordinal"))["last"]
    return Part.objects.create(
        document_id=outer.document_id,
        collection_id=outer.collection_id,
        ordinal=last + 1,
        name=name[:500],
        blob_id=staged.sha256,
        inside_of=outer,
    )
