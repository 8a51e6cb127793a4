"""Embedding spaces: made and dropped in maintenance under the owner role, switched under the application's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.access.acting import acting_as_system
from core.access.errors import Conflict, Invalid, NotFound
from core.segments.models import EmbeddingSpace, Segment, SpaceName
from core.segments.partition import OWNER, partition_drop, partition_make, partition_seal

MAX_DIMENSIONS = 4000
"""What an HNSW index over halfvec takes."""

DIGEST_LETTERS = 6
"""As many of a digest's beginning name a space."""

HOLDS = {SpaceName.TEXT: ~Q(text=""), SpaceName.IMAGE_TEXT: ~Q(picture_sha256="")}
"""Which segments have a vector in a space of that name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSpec:
    """What a space is made of.

    Attributes:
        name: ``text`` or ``image_text``.
        digest: Over all models, prototypes and the recipe.
        dimensions: Of its vectors.
        floor_text: Cosine below which a text query's hit is dropped.
        floor_image: Cosine below which a picture query's hit is dropped.
        recipe: Engine and models, for people.
    """

    name: str
    digest: str
    dimensions: int
    floor_text: float = 0.0
    floor_image: float = 0.0
    recipe: str = ""


def space_active(name: str) -> EmbeddingSpace | None:
    """Return the space of that name that answers searches."""
    return EmbeddingSpace.objects.filter(name=name, active=True).first()


def spaces_ensure(*, specs: Sequence[SpaceSpec], now: datetime | None = None) -> list[EmbeddingSpace]:
    """Create the spaces that are missing and activate each whose name has no active space yet; owner role.

    Returns:
        One space for each spec, in order.

    Raises:
        Invalid: A name or a number of dimensions cannot be.
        Conflict: A digest is there already with other dimensions or another name.
    """
    ensured = []
    for spec in specs:
        with transaction.atomic(using=OWNER):
            _lock(OWNER)
            space = _ensure(spec)
            if not EmbeddingSpace.objects.using(OWNER).filter(name=spec.name, active=True).exists():
                _activate(space, now or timezone.now(), using=OWNER)
            ensured.append(space)
    return ensured


def space_create(
    *, name: str, digest: str, dimensions: int, floor_text: float = 0.0, floor_image: float = 0.0, recipe: str = ""
) -> EmbeddingSpace:
    """Create a space with its partition, inactive; owner role. Done twice, it only stores the floors.

    Where segments are there already that lack their vector in it, it begins unsealed: to be filled, then indexed.

    Raises:
        Invalid: The name or the number of dimensions cannot be.
        Conflict: The digest is there already with other dimensions or another name.
    """
    spec = SpaceSpec(
        name=name,
        digest=digest,
        dimensions=dimensions,
        floor_text=floor_text,
        floor_image=floor_image,
        recipe=recipe,
    )
    with transaction.atomic(using=OWNER):
        _lock(OWNER)
        return _ensure(spec)


def space_get(reference: str | int) -> EmbeddingSpace:
    """Return the space of an id, or of a digest's beginning that only it has.

    Raises:
        NotFound: There is none, or there are several.
    """
    text = str(reference)
    by_id = Q(pk=int(text)) if text.isdecimal() and len(text) < 10 else Q(pk__in=[])
    by_digest = Q(digest__startswith=text) if len(text) >= DIGEST_LETTERS else Q(pk__in=[])
    found = list(EmbeddingSpace.objects.filter(by_id | by_digest))
    exact = [space for space in found if str(space.pk) == text] or found
    if len(exact) != 1:
        known = ", ".join(f"{one.pk} ({one})" for one in EmbeddingSpace.objects.order_by("pk")) or "none"
        raise NotFound(f"'{text}' names {'no' if not exact else 'more than one'} embedding space; there are: {known}")
    return exact[0]


def space_activate(*, space_id: int, now: datetime | None = None) -> EmbeddingSpace:
    """Let a space answer searches in place of the active one of its name, in one transaction.

    Raises:
        NotFound: There is no such space.
    """
    with transaction.atomic():
        _lock(DEFAULT_DB_ALIAS)
        space = EmbeddingSpace.objects.filter(pk=space_id).first()
        if space is None:
            raise NotFound(f"there is no embedding space {space_id}")
        _activate(space, now or timezone.now(), using=DEFAULT_DB_ALIAS)
    return space


def space_earlier(name: str) -> EmbeddingSpace:
    """Return the space that a rollback would make active.

    Raises:
        NotFound: No other space of that name was ever active.
    """
    earlier = EmbeddingSpace.objects.filter(name=name, active=False, activated_at__isnull=False)
    space = earlier.order_by("-activated_at").first()
    if space is None:
        raise NotFound(f"no earlier embedding space '{name}' is there to go back to")
    return space


def space_rollback(*, name: str, now: datetime | None = None) -> EmbeddingSpace:
    """Let the space that was active before answer again, in one transaction.

    Raises:
        NotFound: No other space of that name was ever active.
    """
    with transaction.atomic():
        _lock(DEFAULT_DB_ALIAS)
        space = space_earlier(name)
        _activate(space, now or timezone.now(), using=DEFAULT_DB_ALIAS)
    return space


def space_seal(*, space_id: int) -> bool:
    """Index and guard a space's partition; owner role. Returns False when another process is at it.

    Raises:
        NotFound: There is no such space.
        Conflict: This process does not connect as the owner.
    """
    space = EmbeddingSpace.objects.filter(pk=space_id).first()
    if space is None:
        raise NotFound(f"there is no embedding space {space_id}")
    return space.sealed or partition_seal(space)


def space_drop(*, space_id: int) -> EmbeddingSpace:
    """Drop a space with all its vectors; owner role.

    Returns:
        The space as it was.

    Raises:
        NotFound: There is no such space.
        Conflict: It answers searches.
    """
    with transaction.atomic(using=OWNER):
        _lock(OWNER)
        space = EmbeddingSpace.objects.using(OWNER).filter(pk=space_id).first()
        if space is None:
            raise NotFound(f"there is no embedding space {space_id}")
        if space.active:
            raise Conflict(f"space {space.pk} ({space}) answers searches; switch to another first")
        partition_drop(space)
        EmbeddingSpace.objects.using(OWNER).filter(pk=space_id).delete()
    return space


def segments_held(space: EmbeddingSpace) -> QuerySet[Segment]:
    """Return the segments that have, or should have, a vector in a space; inside the caller's identity."""
    return Segment.objects.filter(HOLDS[SpaceName(space.name)])


def _lock(using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('embedding spaces', 0))")


def _activate(space: EmbeddingSpace, now: datetime, *, using: str) -> None:
    if space.active:
        return
    EmbeddingSpace.objects.using(using).filter(name=space.name, active=True).update(active=False)
    space.active = True
    space.activated_at = now
    space.save(using=using, update_fields=["active", "activated_at"])


def _ensure(spec: SpaceSpec) -> EmbeddingSpace:
    if spec.name not in SpaceName.values:
        raise Invalid(f"'{spec.name}' is not an embedding space; known are {', '.join(SpaceName.values)}")
    if not 0 < spec.dimensions <= MAX_DIMENSIONS:
        raise Invalid(f"a space has 1 to {MAX_DIMENSIONS} dimensions, not {spec.dimensions}")
    space = EmbeddingSpace.objects.using(OWNER).filter(digest=spec.digest).first()
    if space is None:
        space = EmbeddingSpace.objects.using(OWNER).create(**dataclasses.asdict(spec), sealed=not _to_fill(spec.name))
        partition_make(space)
        return space
    if (space.name, space.dimensions) != (spec.name, spec.dimensions):
        raise Conflict(
            f"the space {spec.digest[:12]} is '{space.name}' with {space.dimensions} dimensions, "
            f"not '{spec.name}' with {spec.dimensions}; another recipe needs another digest"
        )
    if (space.floor_text, space.floor_image) != (spec.floor_text, spec.floor_image):
        space.floor_text, space.floor_image = spec.floor_text, spec.floor_image
        space.save(using=OWNER, update_fields=["floor_text", "floor_image"])
    if spec.recipe and space.recipe != spec.recipe:
        space.recipe = spec.recipe
        space.save(using=OWNER, update_fields=["recipe"])
    return space


def _to_fill(name: str) -> bool:
    with acting_as_system(using=OWNER):
        return Segment.objects.using(OWNER).filter(HOLDS[SpaceName(name)]).exists()
