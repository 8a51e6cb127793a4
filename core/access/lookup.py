"""Finds collections by what people call them, among those they may see."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Case, When

from core.access.acting import acting_as
from core.access.errors import NotFound
from core.access.models import Collection, User
from core.access.service import visible_to


def collection_by_name(*, user: User, name_or_id: str) -> Collection:
    """Return a visible collection by its id or name; the caller's own wins over others of the same name.

    Raises:
        NotFound: None is visible to the user.
    """
    with acting_as(user):
        return collection_find(user=user, name_or_id=name_or_id)


def collection_find(*, user: User, name_or_id: str) -> Collection:
    """Do the same inside ``acting_as``, in one query."""
    visible = visible_to(user)
    try:
        found = visible.filter(pk=UUID(name_or_id)).first()
    except ValueError:
        own_first = Case(When(created_by=user, then=0), default=1)
        found = visible.filter(name=name_or_id).order_by(own_first, "created_at").first()
    if found is None:
        raise NotFound(f"there is no collection '{name_or_id}'")
    return found
