"""Documents, their parts and the bytes behind them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from core.access.models import Collection, User


class Blob(models.Model):
    """Bytes stored once per sha256; a trigger counts the parts that refer to them, at zero the file may be deleted."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    size_bytes = models.BigIntegerField()
    reference_count = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.sha256


class DocumentState(models.TextChoices):
    """Where a document is on its way to being searchable."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


class Document(models.Model):
    """One document of one or several parts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=500)
    path = models.CharField(max_length=2000, blank=True, help_text="Path as the client named it.")
    sha256 = models.CharField(max_length=64, help_text="Of the bytes; for several parts of their ordered digests.")
    media_type = models.CharField(max_length=120, blank=True, help_text="Sniffed, never the client's word.")
    size_bytes = models.BigIntegerField()
    language = models.CharField(max_length=8, blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    metadata = models.JSONField(default=dict, help_text="Key to text, number, yes or no, or date (text YYYY-MM-DD).")
    date = models.DateField(null=True, help_text="What its sender says it is dated.")
    state = models.CharField(max_length=10, choices=DocumentState.choices, default=DocumentState.QUEUED)
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "sha256"], name="same_bytes_once_per_collection"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["collection", "state"]),
            models.Index(fields=["collection", "date"], name="document_date"),
        ]

    def __str__(self) -> str:
        return self.title


class Part(models.Model):
    """One file (or inline text) of a document; attachments found inside become further parts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="parts")
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    ordinal = models.IntegerField()
    name = models.CharField(max_length=500, help_text="File name as given; shown, never used as evidence.")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    inline = models.BooleanField(default=False, help_text="Words sent as JSON: plain text whatever they look like.")
    media_type = models.CharField(max_length=120, blank=True)
    family = models.CharField(max_length=20, blank=True)
    units = models.IntegerField(default=1)
    duration_s = models.FloatField(null=True)
    inside_of = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="attachments")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["document", "ordinal"], name="part_ordinal_once_per_document"),
        ]
        ordering: ClassVar = ["ordinal"]

    def __str__(self) -> str:
        return self.name
