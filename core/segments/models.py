"""Segments, embedding spaces and vectors."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from pgvector.django import HalfVectorField

from core.access.models import Collection
from core.documents.models import Document, Part


class SpaceName(models.TextChoices):
    """What a space is for."""

    TEXT = "text"
    IMAGE_TEXT = "image_text"


class EmbeddingSpace(models.Model):
    """Model digest, preprocessing version, dimensions and metric; vectors are comparable only within one."""

    name = models.CharField(max_length=20, choices=SpaceName.choices)
    digest = models.CharField(max_length=64, unique=True, help_text="Over all models, prototypes and the recipe.")
    dimensions = models.IntegerField()
    active = models.BooleanField(default=False, help_text="At most one per name answers searches.")
    floor_text = models.FloatField(default=0.0, help_text="Cosine below which a text query's hit is dropped.")
    floor_image = models.FloatField(default=0.0, help_text="Cosine below which a picture query's hit is dropped.")
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True, help_text="When it last began to answer searches; for rollback.")
    recipe = models.CharField(max_length=200, blank=True, help_text="Engine and models, for people.")
    sealed = models.BooleanField(
        default=True, help_text="Its partition is indexed and guarded; before, workers may load into it by COPY."
    )
    filled_at = models.DateTimeField(null=True, help_text="When the last fill left no segment without its vector.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name"], condition=models.Q(active=True), name="one_active_space_per_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:12]}"


class Segment(models.Model):
    """One retrievable piece of a document.

    The id is uuid5(document, part ordinal, kind, ordinal, text), so a repeated run writes the same rows.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="segments")
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    part = models.ForeignKey(Part, on_delete=models.CASCADE, related_name="segments")
    ordinal = models.IntegerField(help_text="Reading order within the document.")
    kind = models.CharField(max_length=10)
    text = models.TextField(blank=True, help_text="What is searched and quoted; empty for a picture nobody could read.")
    heading_path = models.JSONField(default=list)
    anchor = models.JSONField()
    words = models.JSONField(null=True, help_text="Of speech: [text, start_s, end_s] for each word.")
    spans = models.JSONField(
        default=list, help_text="[start, end, anchor] of each block of the text, for exact quotes."
    )
    language = models.CharField(max_length=8, blank=True)
    picture_sha256 = models.CharField(
        max_length=64, blank=True, help_text="Stored preview of a picture, page or frame."
    )
    search_vector = SearchVectorField(null=True, help_text="Kept by a trigger from text, heading_path and language.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["document", "ordinal"], name="segment_ordinal_once_per_document"),
        ]
        # Without the list of pending entries: every search after a bulk write would read all of it.
        indexes: ClassVar = [GinIndex(fields=["search_vector"], name="segment_search_vector", fastupdate=False)]

    def __str__(self) -> str:
        return f"{self.kind} {self.ordinal} of {self.document_id}"


class Embedding(models.Model):
    """One vector of one segment in one space.

    The table is LIST-partitioned by space and made in a migration by hand; ``space_create`` adds partitions with a
    check of the dimensions and an HNSW index over ``(embedding::halfvec(N))``. The database itself deletes a segment's
    vectors with the segment.
    """

    pk = models.CompositePrimaryKey("space_id", "segment_id")
    space = models.ForeignKey(EmbeddingSpace, on_delete=models.DO_NOTHING, related_name="+")
    segment = models.ForeignKey(Segment, on_delete=models.DO_NOTHING, related_name="+")
    collection = models.ForeignKey(Collection, on_delete=models.DO_NOTHING, related_name="+")
    embedding = HalfVectorField()

    class Meta:
        managed = False
        db_table = "segments_embedding"

    def __str__(self) -> str:
        return f"{self.segment_id} in {self.space_id}"


class FillState(models.TextChoices):
    """Where a batch of a fill is; ``dead`` after three attempts or an error that no retry mends."""

    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"


class FillBatch(models.Model):
    """A range of segments that get their vectors in one space: leased, fenced and repeated like a step of a job."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    space = models.ForeignKey(EmbeddingSpace, on_delete=models.CASCADE, related_name="batches")
    number = models.IntegerField()
    first_segment = models.UUIDField(help_text="Segments are taken in the order of their ids.")
    last_segment = models.UUIDField()
    segments = models.IntegerField(help_text="How many lacked their vector when the fill was planned.")
    state = models.CharField(max_length=10, choices=FillState.choices, default=FillState.PENDING)
    attempts = models.IntegerField(default=0)
    lease_owner = models.CharField(max_length=100, blank=True, help_text="Slot name of the holder.")
    lease_token = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    next_ring_at = models.DateTimeField(null=True, help_text="When to tell the broker again that it waits.")
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["space", "number"], name="fill_batch_once_per_space"),
            models.CheckConstraint(
                condition=~models.Q(state="leased")
                | models.Q(lease_token__isnull=False, lease_expires_at__isnull=False),
                name="a_leased_fill_batch_has_a_lease",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["space", "state"])]

    def __str__(self) -> str:
        return f"batch {self.number} of space {self.space_id} ({self.state})"
