"""The partition of one embedding space: made, sealed and dropped under the owner role; nothing else is DDL here.

A partition that is to be filled begins *unsealed*: without its HNSW index and without row security, and the application
role may insert into it, nothing more. Whoever reads goes through the table of all spaces, whose row security is always
on. Sealing builds the index beside running writes, then guards the partition like every other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction
from psycopg import sql

from core.access.errors import Conflict
from core.segments.models import EmbeddingSpace

OWNER = "owner"
"""The application role owns nothing: it can neither add a partition nor an index."""

HNSW_M = 16
HNSW_EF_CONSTRUCTION = 64


def partition_make(space: EmbeddingSpace) -> None:
    """Make the partition of a space, sealed or not as the space says, in the caller's transaction."""
    partition = sql.Identifier(_name(space))
    _execute(
        # A partition without a space is a leftover of an emptied database; the foreign key says it has no row.
        sql.SQL("DROP TABLE IF EXISTS {}").format(partition),
        sql.SQL(
            "CREATE TABLE {} PARTITION OF segments_embedding (CHECK (vector_dims(embedding) = {})) FOR VALUES IN ({})"
        ).format(partition, sql.Literal(space.dimensions), sql.Literal(space.pk)),
    )
    if space.sealed:
        _execute(_index_statement(space, concurrently=False))
        _guard(space)
    else:
        _execute(
            sql.SQL("REVOKE ALL ON {} FROM cloister_app").format(partition),
            sql.SQL("GRANT INSERT ON {} TO cloister_app").format(partition),
        )


def partition_seal(space: EmbeddingSpace) -> bool:
    """Index and guard the partition of a space; searches and writes go on meanwhile.

    Returns:
        False when another process is at it.

    Raises:
        Conflict: This process's owner connection is not the owner of the table.
    """
    owner_require()
    with _sealing_alone(space) as alone:
        if not alone:
            return False
        if EmbeddingSpace.objects.using(OWNER).get(pk=space.pk).sealed:
            space.sealed = True
            return True
        _execute(
            # What an interrupted build leaves is invalid, and in the way.
            sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(f"{_name(space)}_hnsw")),
            _index_statement(space, concurrently=True),
        )
        with transaction.atomic(using=OWNER):
            locked = EmbeddingSpace.objects.using(OWNER).select_for_update().get(pk=space.pk)
            _guard(space)
            locked.sealed = True
            locked.save(using=OWNER, update_fields=["sealed"])
    space.sealed = True
    return True


def partition_drop(space: EmbeddingSpace) -> None:
    """Drop the partition with all its vectors, in the caller's transaction."""
    _execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(_name(space))))


def owner_require() -> None:
    """Check that this process may change tables.

    Raises:
        Conflict: It may not.
    """
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_userbyid(relowner) = current_user FROM pg_class WHERE oid = 'segments_embedding'::regclass"
        )
        if cursor.fetchone() != (True,):
            raise Conflict(
                "this process connects as the application role alone; run './cloister spaces seal' where "
                "CLOISTER_OWNER_DATABASE_URL is set"
            )


def _name(space: EmbeddingSpace) -> str:
    return f"segments_embedding_{space.pk}"


def _index_statement(space: EmbeddingSpace, *, concurrently: bool) -> sql.Composed:
    return sql.SQL(
        "CREATE INDEX {} {} ON {} USING hnsw ((embedding::halfvec({})) halfvec_cosine_ops) "
        "WITH (m = {}, ef_construction = {})"
    ).format(
        sql.SQL("CONCURRENTLY" if concurrently else ""),
        sql.Identifier(f"{_name(space)}_hnsw"),
        sql.Identifier(_name(space)),
        sql.Literal(space.dimensions),
        sql.Literal(HNSW_M),
        sql.Literal(HNSW_EF_CONSTRUCTION),
    )


def _guard(space: EmbeddingSpace) -> None:
    _execute(
        sql.SQL("SELECT cloister_guard({})").format(sql.Literal(_name(space))),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO cloister_app").format(sql.Identifier(_name(space))),
    )


@contextmanager
def _sealing_alone(space: EmbeddingSpace) -> Iterator[bool]:
    # Of the session: an index that is built beside writes cannot be built inside a transaction.
    key = f"sealing of space {space.pk}"
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key])
        [alone] = cursor.fetchone()
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [key])


def _execute(*statements: sql.Composed) -> None:
    with connections[OWNER].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.as_string(cursor.connection))
