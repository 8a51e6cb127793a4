"""Vectors on their way into the database: by COPY where the database allows it, else by arrays.

PostgreSQL refuses COPY FROM into a table with row security. So documents write by ``vectors_insert``; a space that is
being filled has a partition into which workers may insert, and only insert, until it is sealed: ``vectors_copy``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

import numpy as np
import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from pgvector import HalfVector
from pgvector.psycopg.halfvec import register_halfvec_info
from psycopg import sql
from psycopg.types import TypeInfo

from inference.values import Vectors

ROWS_PER_INSERT = 1000


class VectorRow(NamedTuple):
    """One vector of one segment in one space, as a row of the table."""

    space_id: int
    segment_id: UUID
    collection_id: UUID
    embedding: HalfVector


def vector_row(*, space_id: int, segment_id: UUID, collection_id: UUID, vector: Vectors) -> VectorRow:
    """Return the row of one float vector, rounded to half precision."""
    return VectorRow(space_id, segment_id, collection_id, HalfVector(np.asarray(vector, dtype=np.float32)))


def vectors_insert(rows: Sequence[VectorRow], *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Insert rows under row security, in the caller's transaction."""
    with _halfvec_cursor(using) as cursor:
        for start in range(0, len(rows), ROWS_PER_INSERT):
            cursor.execute(
                "INSERT INTO segments_embedding (space_id, segment_id, collection_id, embedding) "
                "SELECT * FROM unnest(%b::bigint[], %b::uuid[], %b::uuid[], %b::halfvec[])",
                [list(column) for column in zip(*rows[start : start + ROWS_PER_INSERT], strict=True)],
            )


def vectors_copy(space_id: int, rows: Sequence[VectorRow], *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Load rows into the unsealed partition of one space by binary COPY, in the caller's transaction."""
    command = sql.SQL("COPY {} (space_id, segment_id, collection_id, embedding) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(f"segments_embedding_{space_id}")
    )
    with _halfvec_cursor(using) as cursor, cursor.copy(command) as copy:
        copy.set_types(["int8", "uuid", "uuid", "halfvec"])
        for row in rows:
            copy.write_row(row)


@contextmanager
def _halfvec_cursor(using: str) -> Iterator[psycopg.Cursor]:
    connection = connections[using]
    connection.ensure_connection()
    raw = connection.connection
    halfvec = TypeInfo.fetch(raw, "halfvec")
    with psycopg.Cursor(raw) as cursor:
        # On this cursor alone: a pooled connection goes back as it came.
        register_halfvec_info(cursor, halfvec)  # type: ignore[arg-type]
        yield cursor
