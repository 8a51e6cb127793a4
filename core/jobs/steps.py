"""Leases, fencing and the doorbell: the inner workings of steps that core.jobs.service offers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from core.access.errors import NotFound
from core.documents.models import Document, DocumentState
from core.jobs.errors import LeaseLost
from core.jobs.models import Job, JobState, Step, StepState
from core.jobs.plan import StepPlan
from core.remote import step_publish

LEASE_S = 30.0
HEARTBEAT_S = 5.0
ATTEMPTS = 3

RING_AGAIN_S = 30.0
"""A ready step that nobody took in this time is told to the broker again, each time after twice as long."""
RINGS_DOUBLED = 6

LIVE_JOBS = (JobState.QUEUED, JobState.RUNNING)

logger = logging.getLogger(__name__)


def step_held(step_id: UUID, lease_token: UUID) -> Step:
    """Lock a step together with its job and check that the caller holds it; only inside a transaction.

    The job is locked first, everywhere, so that two steps of one job cannot wait for each other.

    Raises:
        LeaseLost: The token is not the current one.
    """
    Job.objects.select_for_update(of=("self",), no_key=True).filter(steps__pk=step_id).first()
    return step_fenced(step_id, lease_token)


def step_fenced(step_id: UUID, lease_token: UUID) -> Step:
    """Lock a step alone and check that the caller holds it, for effects that leave the job's state as it is.

    Raises:
        LeaseLost: The token is not the current one.
    """
    step = (
        Step.objects.select_for_update(of=("self",), no_key=True)
        .select_related("job")
        .filter(pk=step_id, lease_token=lease_token, state=StepState.LEASED)
        .first()
    )
    if step is None:
        raise LeaseLost(f"step {step_id} is no longer held by this worker; its result is thrown away")
    return step


def job_locked(job_id: UUID) -> Job:
    """Lock a job inside a transaction.

    Raises:
        NotFound: It does not exist.
    """
    job = Job.objects.select_for_update(no_key=True).filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"there is no job {job_id}")
    return job


def steps_add(job: Job, plans: Iterable[StepPlan]) -> list[Step]:
    """Make the planned steps that are not there yet; returns all of them, in the order of the plans."""
    wanted = list(plans)
    Step.objects.bulk_create(
        [
            Step(
                job=job,
                collection_id=job.collection_id,
                kind=plan.kind,
                key=plan.key,
                stage=plan.stage,
                parameters=dict(plan.parameters),
            )
            for plan in wanted
        ],
        ignore_conflicts=True,
    )
    found = {(step.kind, step.key): step for step in job.steps.filter(kind__in={plan.kind for plan in wanted})}
    return [found[plan.kind, plan.key] for plan in wanted]


def stage_is_complete(job_id: UUID, stage: int) -> bool:
    """Whether every step of ``stage`` and of the stages before it is done, and there is one of ``stage``."""
    steps = Step.objects.filter(job_id=job_id, stage__lte=stage)
    return steps.filter(stage=stage).exists() and not steps.exclude(state=StepState.DONE).exists()


def _ready() -> QuerySet[Step]:
    waits = Step.objects.filter(job_id=OuterRef("job_id"), stage__lt=OuterRef("stage")).exclude(state=StepState.DONE)
    return Step.objects.filter(~Exists(waits), state=StepState.PENDING, job__state__in=LIVE_JOBS)


def step_is_ready(step: Step) -> bool:
    """Whether no step of an earlier stage is open and the job lives."""
    return _ready().filter(pk=step.pk).exists()


def ready_ring(*, job_id: UUID, now: datetime) -> None:
    """Tell the broker of the job's ready steps that it was not told of, when this transaction commits."""
    steps_ring(_ready().filter(job_id=job_id, next_ring_at__isnull=True), now=now)


def late_ring(*, now: datetime, limit: int) -> int:
    """Tell the broker again of ready steps that nobody took in time; returns how many."""
    late = _ready().select_for_update(of=("self",), skip_locked=True, no_key=True)
    late = late.filter(next_ring_at__lte=now).order_by("next_ring_at")[:limit]
    return steps_ring(late, now=now)


def steps_ring(steps: Iterable[Step], *, now: datetime) -> int:
    """Tell the broker of these steps when this transaction commits; returns how many."""
    rung: Sequence[Step] = list(steps)
    for step in rung:
        step.next_ring_at = now + timedelta(seconds=RING_AGAIN_S * 2 ** min(step.rings, RINGS_DOUBLED))
        step.rings += 1
        # The step is stored: a broker that is away delays it until the reaper rings again, and loses nothing.
        transaction.on_commit(_bell(step), robust=True)
    Step.objects.bulk_update(rung, ["rings", "next_ring_at"], batch_size=500)
    return len(rung)


def _bell(step: Step) -> Callable[[], None]:
    return lambda: step_publish(step_id=str(step.pk), stage=step.stage)


def step_put_back(step: Step, *, now: datetime) -> None:
    """Take the lease from a step so that another attempt can begin at once."""
    step.state = StepState.PENDING
    step.lease_owner = ""
    step.lease_token = None
    step.lease_expires_at = None
    step.rings = 0
    step.next_ring_at = None
    step.save()
    steps_ring([step], now=now)


def step_bury(step: Step, *, code: str, message: str, now: datetime) -> None:
    """End a step for good; its job and its document fail with the same reason, and the job's open steps end too."""
    Step.objects.filter(pk=step.pk).update(
        state=StepState.DEAD,
        lease_owner="",
        lease_token=None,
        lease_expires_at=None,
        next_ring_at=None,
        error_code=code,
        error_message=message,
        finished_at=now,
    )
    Step.objects.filter(job_id=step.job_id, state__in=[StepState.PENDING, StepState.LEASED]).update(
        state=StepState.DEAD,
        lease_owner="",
        lease_token=None,
        lease_expires_at=None,
        next_ring_at=None,
        error_code="job_failed",
        error_message="another step of this job failed",
        finished_at=now,
    )
    Job.objects.filter(pk=step.job_id).update(
        state=JobState.FAILED, error_code=code, error_message=message, finished_at=now
    )
    Document.objects.filter(pk=step.job.document_id).update(
        state=DocumentState.FAILED, error_code=code, error_message=message, finished_at=now
    )
    logger.warning("step %s %s of job %s is dead: %s: %s", step.kind, step.key, step.job_id, code, message)


def step_recover(step: Step, *, now: datetime) -> bool:
    """Take a step from a holder that is gone; returns whether another attempt follows."""
    if step.attempts >= ATTEMPTS:
        step_bury(
            step,
            code="worker_lost",
            message=f"the worker ended {step.attempts} times while it was busy with this file",
            now=now,
        )
        return False
    step_put_back(step, now=now)
    return True
