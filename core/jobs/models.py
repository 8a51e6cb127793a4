"""Jobs and steps: the truth about what is to do, who does it and what came of it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from core.access.models import Collection, User
from core.documents.models import Document


class JobState(models.TextChoices):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(models.Model):
    """Turns one document into segments."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="jobs")
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"job {self.id} ({self.state})"


class StepState(models.TextChoices):
    """Where a step is; ``dead`` after three attempts or an error that no retry mends."""

    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"


class Step(models.Model):
    """One leased piece of work: a page range, a sound window, an embedding batch.

    The steps of one ``stage`` run in any order; the next stage is planned when all of them are done.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps")
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    stage = models.IntegerField()
    kind = models.CharField(max_length=20, help_text="probe, parse, ocr, speech, describe, segment, embed or write.")
    key = models.CharField(max_length=200, help_text="What of the job this step covers; unique with kind.")
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=StepState.choices, default=StepState.PENDING)
    attempts = models.IntegerField(default=0)
    lease_owner = models.CharField(max_length=100, blank=True, help_text="Slot name of the holder.")
    lease_token = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    rings = models.IntegerField(default=0, help_text="How often the broker was told of this step since it was ready.")
    next_ring_at = models.DateTimeField(
        null=True, help_text="When to tell it again; empty while the step is not ready."
    )
    result = models.JSONField(null=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "kind", "key"], name="step_once_per_job"),
            models.CheckConstraint(
                condition=~models.Q(state="leased")
                | models.Q(lease_token__isnull=False, lease_expires_at__isnull=False),
                name="a_leased_step_has_a_lease",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "lease_expires_at"]),
            models.Index(fields=["job", "stage"]),
            models.Index(fields=["next_ring_at"], condition=models.Q(state="pending"), name="step_to_ring"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} ({self.state})"


class Upload(models.Model):
    """A file that comes in pieces; its bytes so far lie beside the blobs, and their number is its offset."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    size_bytes = models.BigIntegerField(help_text="Of the whole file, as announced.")
    name = models.CharField(max_length=500)
    title = models.CharField(max_length=500, blank=True)
    path = models.CharField(max_length=2000, blank=True)
    labels = models.JSONField(default=dict, help_text="Tags, metadata and date for the document.")
    document = models.ForeignKey(Document, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True, help_text="When it is swept unless more of it comes.")

    def __str__(self) -> str:
        return f"upload of {self.name}"


class Artefact(models.Model):
    """Intermediate bytes of a job (page renders, sound windows, vectors).

    They are deleted with the job's end, except those that segments show: these are ``kept`` until the document is
    indexed anew or erased.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="artefacts")
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    kept = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "sha256"], name="artefact_once_per_job")]
        indexes: ClassVar = [models.Index(fields=["sha256"])]

    def __str__(self) -> str:
        return self.sha256
