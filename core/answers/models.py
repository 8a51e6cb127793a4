"""Stored answers: what was asked, searched, shown and cited, by which models."""

from __future__ import annotations

import uuid

from django.db import models

from core.access.models import Collection, User


class AnswerState(models.TextChoices):
    """Where an answer is."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Answer(models.Model):
    """One question and its answer; citations keep digest, anchor and quote so that they survive a re-index."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    question = models.TextField()
    conversation = models.UUIDField(
        default=uuid.uuid4, db_index=True, help_text="The same for a question and what follows on it."
    )
    standalone = models.TextField(
        blank=True, help_text="The question as condensed from messages that came with it; empty for stored turns."
    )
    state = models.CharField(max_length=10, choices=AnswerState.choices, default=AnswerState.RUNNING)
    text = models.TextField(blank=True)
    refused = models.BooleanField(default=False)
    extractive = models.BooleanField(default=False)
    sentences = models.JSONField(default=list, help_text="[{text, citations: [n], unsupported}]")
    citations = models.JSONField(default=list, help_text="[{n, document, segment, quote, anchor, sha256}]")
    evidence = models.JSONField(
        default=dict, help_text="What was searched, found, shown to the model and decided, with model digests."
    )
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.question
