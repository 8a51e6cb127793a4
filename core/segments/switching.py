"""Which space answers searches: what is known of each, and the switch with what has to be true before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.access.acting import acting_as_system
from core.access.errors import Conflict
from core.access.models import User
from core.access.service import audit
from core.segments.fill import FillProgress, fill_progress
from core.segments.models import EmbeddingSpace
from core.segments.space_spec import role_of, space_specs
from core.segments.spaces import SpaceSpec, space_activate, space_earlier, space_get, space_rollback


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSummary:
    """A space as people and clients see it.

    Attributes:
        role: Role of this host's profile that embeds into it; empty where none does.
    """

    space: EmbeddingSpace
    progress: FillProgress
    role: str

    def as_json(self) -> dict[str, Any]:
        """Return the public form."""
        space, progress = self.space, self.progress
        return {
            "id": space.pk,
            "name": space.name,
            "digest": space.digest,
            "recipe": space.recipe,
            "role": self.role,
            "dimensions": space.dimensions,
            "active": space.active,
            "sealed": space.sealed,
            "phase": progress.phase,
            "wanted": progress.wanted,
            "vectors": progress.vectors,
            "percent": progress.percent,
            "batches": dict(progress.batches),
            "error": progress.error,
            "activated_at": space.activated_at,
            "filled_at": space.filled_at,
        }


def spaces_summary(specs: Mapping[str, SpaceSpec] | None = None) -> list[SpaceSummary]:
    """Return every space, the active one of a name first."""
    spaces = EmbeddingSpace.objects.order_by("name", "-active", "-activated_at", "pk")
    return [space_summary(space, specs) for space in spaces]


def space_summary(space: EmbeddingSpace, specs: Mapping[str, SpaceSpec] | None = None) -> SpaceSummary:
    """Return what is known of one space; its roles are those of this host's profile unless ``specs`` says others."""
    role = role_of(space.digest, space_specs() if specs is None else specs)
    return SpaceSummary(space=space, progress=fill_progress(space_id=space.pk), role=role or "")


def space_switch(
    *,
    reference: str | int,
    now: datetime,
    user: User | None = None,
    force: bool = False,
    specs: Mapping[str, SpaceSpec] | None = None,
) -> EmbeddingSpace:
    """Let a space answer searches, in one transaction, once it is complete and an engine embeds queries into it.

    Args:
        reference: Id, or the beginning of a digest.
        now: The clock.
        user: Who does it; None stands for the administrator at the machine.
        force: Switch to a space that is not complete, too.
        specs: Spaces by role; without it those of this host's profile.

    Raises:
        NotFound: There is no such space.
        Conflict: It is not complete, or no role of this host embeds into it.
    """
    space = space_get(reference)
    _ready_require(space_summary(space, specs), force=force)
    return _activated(space_activate(space_id=space.pk, now=now), user, "space.switch")


def space_switch_back(
    *,
    name: str,
    now: datetime,
    user: User | None = None,
    force: bool = False,
    specs: Mapping[str, SpaceSpec] | None = None,
) -> EmbeddingSpace:
    """Let the space that answered before answer again; raises as ``space_switch`` does."""
    _ready_require(space_summary(space_earlier(name), specs), force=force)
    return _activated(space_rollback(name=name, now=now), user, "space.rollback")


def _ready_require(summary: SpaceSummary, *, force: bool) -> None:
    space, progress = summary.space, summary.progress
    if not summary.role:
        raise Conflict(
            f"no role of this host's profile embeds into space {space.pk} ({space.recipe or space}), so that no query "
            "could be asked of it; add it as a role to the profile and restart"
        )
    if progress.phase != "ready" and not force:
        raise Conflict(
            f"space {space.pk} ({space}) is {progress.phase} with {progress.vectors} of {progress.wanted} vectors; "
            f"run './cloister spaces fill {space.pk}' first, or force the switch and search what is there"
        )


def _activated(space: EmbeddingSpace, user: User | None, action: str) -> EmbeddingSpace:
    detail = {"name": space.name, "digest": space.digest}
    with acting_as_system():
        audit(user=user, action=action, subject=f"space {space.pk}", detail=detail)
    return space
