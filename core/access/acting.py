"""Whose eyes the database looks with: the identity that row-level security reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from core.access.errors import Forbidden
from core.access.models import User

SYSTEM = "system"


@contextlib.contextmanager
def acting_as(user: User, *, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Run the block in one transaction that sees and writes what ``user`` may.

    Without an identity no row of a guarded table comes back, so a query set must be read inside the block. An inner
    identity ends with its block.

    Raises:
        Forbidden: ``user`` is nobody (anonymous, or not saved).
    """
    if user.pk is None:
        raise Forbidden("nobody is logged in")
    with _identity(str(user.pk), using):
        yield


@contextlib.contextmanager
def acting_as_system(*, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Run the block in one transaction that sees and writes everything: workers and maintenance only."""
    with _identity(SYSTEM, using):
        yield


@contextlib.contextmanager
def _identity(value: str, using: str) -> Iterator[None]:
    connection = connections[using]
    nested = connection.in_atomic_block
    with transaction.atomic(using=using):
        with connection.cursor() as cursor:
            # One round trip: the columns are evaluated in their order, first what was, then what is.
            cursor.execute(
                "SELECT current_setting('cloister.user_id', true), set_config('cloister.user_id', %s, true)", [value]
            )
            before = cursor.fetchone()[0] or ""
        yield
        # A rollback to the savepoint and the end of the transaction restore the outer identity by themselves; a
        # release does not.
        if nested and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('cloister.user_id', %s, true)", [before])
