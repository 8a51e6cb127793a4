"""Finds collections by what people call them, among those they may see."""

from __future__ import annotations

from uuid import UUID

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
        visible = visible_to(user)
        try:
            found = visible.filter(pk=UUID(name_or_id)).first()
        except ValueError:
            named = visible.filter(name=name_or_id)
            found = named.filter(created_by=user).first() or named.order_by("created_at").first()
    if found is None:
        raise NotFound(f"there is no collection '{name_or_id}'")
    return found
