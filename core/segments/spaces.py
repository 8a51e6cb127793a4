"""Embedding spaces: made, switched and rolled back in maintenance, under the owner role."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from django.db import connections, transaction
from django.utils import timezone
from psycopg import sql

from core.access.errors import Conflict, Invalid, NotFound
from core.segments.models import EmbeddingSpace, SpaceName

OWNER = "owner"
"""The application role owns nothing: it can neither add a partition nor an index."""

MAX_DIMENSIONS = 4000
"""What an HNSW index over halfvec takes."""

HNSW_M = 16
HNSW_EF_CONSTRUCTION = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSpec:
    """What a space is made of.

    Attributes:
        name: ``text`` or ``image_text``.
        digest: Over all models, prototypes and the recipe.
        dimensions: Of its vectors.
        floor_text: Cosine below which a text query's hit is dropped.
        floor_image: Cosine below which a picture query's hit is dropped.
    """

    name: str
    digest: str
    dimensions: int
    floor_text: float = 0.0
    floor_image: float = 0.0


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
            _lock()
            space = _ensure(spec)
            if not EmbeddingSpace.objects.using(OWNER).filter(name=spec.name, active=True).exists():
                _activate(space, now or timezone.now())
            ensured.append(space)
    return ensured


def space_create(
    *, name: str, digest: str, dimensions: int, floor_text: float = 0.0, floor_image: float = 0.0
) -> EmbeddingSpace:
    """Create a space with its partition and index, inactive; owner role. Done twice, it only stores the floors.

    Raises:
        Invalid: The name or the number of dimensions cannot be.
        Conflict: The digest is there already with other dimensions or another name.
    """
    spec = SpaceSpec(name=name, digest=digest, dimensions=dimensions, floor_text=floor_text, floor_image=floor_image)
    with transaction.atomic(using=OWNER):
        _lock()
        return _ensure(spec)


def space_activate(*, space_id: int, now: datetime | None = None) -> EmbeddingSpace:
    """Let a space answer searches in place of the active one of its name, in one transaction; owner role.

    Raises:
        NotFound: There is no such space.
    """
    with transaction.atomic(using=OWNER):
        _lock()
        space = EmbeddingSpace.objects.using(OWNER).filter(pk=space_id).first()
        if space is None:
            raise NotFound(f"there is no embedding space {space_id}")
        _activate(space, now or timezone.now())
    return space


def space_rollback(*, name: str, now: datetime | None = None) -> EmbeddingSpace:
    """Let the space that was active before answer again, in one transaction; owner role.

    Raises:
        NotFound: No other space of that name was ever active.
    """
    with transaction.atomic(using=OWNER):
        _lock()
        earlier = EmbeddingSpace.objects.using(OWNER).filter(name=name, active=False, activated_at__isnull=False)
        space = earlier.order_by("-activated_at").first()
        if space is None:
            raise NotFound(f"no earlier embedding space '{name}' is there to go back to")
        _activate(space, now or timezone.now())
    return space


def _lock() -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('embedding spaces', 0))")


def _activate(space: EmbeddingSpace, now: datetime) -> None:
    if space.active:
        return
    EmbeddingSpace.objects.using(OWNER).filter(name=space.name, active=True).update(active=False)
    space.active = True
    space.activated_at = now
    space.save(using=OWNER, update_fields=["active", "activated_at"])


def _ensure(spec: SpaceSpec) -> EmbeddingSpace:
    if spec.name not in SpaceName.values:
        raise Invalid(f"'{spec.name}' is not an embedding space; known are {', '.join(SpaceName.values)}")
    if not 0 < spec.dimensions <= MAX_DIMENSIONS:
        raise Invalid(f"a space has 1 to {MAX_DIMENSIONS} dimensions, not {spec.dimensions}")
    space = EmbeddingSpace.objects.using(OWNER).filter(digest=spec.digest).first()
    if space is None:
        space = EmbeddingSpace.objects.using(OWNER).create(**dataclasses.asdict(spec))
        _partition_make(space)
        return space
    if (space.name, space.dimensions) != (spec.name, spec.dimensions):
        raise Conflict(
            f"the space {spec.digest[:12]} is '{space.name}' with {space.dimensions} dimensions, "
            f"not '{spec.name}' with {spec.dimensions}; another recipe needs another digest"
        )
    if (space.floor_text, space.floor_image) != (spec.floor_text, spec.floor_image):
        space.floor_text, space.floor_image = spec.floor_text, spec.floor_image
        space.save(using=OWNER, update_fields=["floor_text", "floor_image"])
    return space


def _partition_make(space: EmbeddingSpace) -> None:
    partition = sql.Identifier(f"segments_embedding_{space.pk}")
    dimensions = sql.Literal(space.dimensions)
    statements = [
        # A partition without a space is a leftover of an emptied database; the foreign key says it has no row.
        sql.SQL("DROP TABLE IF EXISTS {}").format(partition),
        sql.SQL(
            "CREATE TABLE {} PARTITION OF segments_embedding (CHECK (vector_dims(embedding) = {})) FOR VALUES IN ({})"
        ).format(partition, dimensions, sql.Literal(space.pk)),
        sql.SQL(
            "CREATE INDEX {} ON {} USING hnsw ((embedding::halfvec({})) halfvec_cosine_ops) "
            "WITH (m = {}, ef_construction = {})"
        ).format(
            sql.Identifier(f"segments_embedding_{space.pk}_hnsw"),
            partition,
            dimensions,
            sql.Literal(HNSW_M),
            sql.Literal(HNSW_EF_CONSTRUCTION),
        ),
        sql.SQL("SELECT cloister_guard({})").format(sql.Literal(f"segments_embedding_{space.pk}")),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO cloister_app").format(partition),
    ]
    with connections[OWNER].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.as_string(cursor.connection))
