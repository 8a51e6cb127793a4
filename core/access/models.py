"""Users, collections, membership and the audit log."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractUser, Group
from django.db import models


class User(AbstractUser):
    """A person or a service account; group membership is Django's."""


class Role(models.TextChoices):
    """What a member may do with a collection."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"


class Collection(models.Model):
    """A set of documents that share their readers."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["created_by", "name"], name="collection_name_once_per_creator"),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """Gives one user or one group a role in one collection."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, group__isnull=True)
                | models.Q(user__isnull=True, group__isnull=False),
                name="membership_of_a_user_or_a_group",
            ),
            models.UniqueConstraint(fields=["collection", "user"], name="membership_once_per_user"),
            models.UniqueConstraint(fields=["collection", "group"], name="membership_once_per_group"),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group} is {self.role} of {self.collection}"


class AuditEntry(models.Model):
    """Who did what to what, and when; never changed."""

    at = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.at} {self.user} {self.action} {self.subject}"
