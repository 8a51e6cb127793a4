"""Filling a space: every segment that lacks its vector gets it, in leased and fenced batches, while search goes on.

A batch is like a step of a job: its row is the truth, the broker's message only a doorbell, the attempt is counted
before the work, and vectors are written only by whoever holds the batch. What was written stays when a fill is broken
off; the next one plans what is still missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet

from core.access.acting import acting_as_system
from core.access.errors import Invalid, NotFound
from core.jobs.errors import LeaseLost
from core.remote import fill_publish
from core.segments.models import Embedding, EmbeddingSpace, FillBatch, FillState, Segment
from core.segments.spaces import segments_held
from core.segments.vectors import VectorRow, vector_row, vectors_copy, vectors_insert
from inference.values import Vectors

BATCH_SEGMENTS = 128
LEASE_S = 30.0
ATTEMPTS = 3
RING_AGAIN_S = 60.0
RING_LIMIT = 256

FillPhase = Literal["waiting", "filling", "failed", "filled", "ready"]
"""Of a space: never filled, at it, given up by a batch, filled but not indexed yet, ready to be switched to."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FillProgress:
    """How far a space is.

    Attributes:
        wanted: Segments that have or should have a vector in it.
        vectors: Vectors it holds.
        batches: Of the last fill, by state.
        error: Why batches were given up, empty without.
    """

    phase: FillPhase
    wanted: int
    vectors: int
    batches: Mapping[str, int]
    error: str = ""

    @property
    def percent(self) -> float:
        """Vectors there, of those wanted; rounded down, so that 100 means all."""
        return 100.0 if self.wanted == 0 else int(1000 * min(self.vectors, self.wanted) / self.wanted) / 10


def fill_start(*, space_id: int, now: datetime) -> FillProgress:
    """Plan batches for all segments that lack their vector; a fill that was broken off goes on, dead batches again.

    Raises:
        NotFound: There is no such space.
    """
    with acting_as_system():
        space = _space_locked(space_id)
        dead = space.batches.filter(state=FillState.DEAD)
        dead.update(state=FillState.PENDING, attempts=0, error_code="", error_message="", next_ring_at=None)
        if not _open(space).exists():
            space.batches.all().delete()
            _plan(space)
        _ring(_open(space).filter(state=FillState.PENDING), now=now)
    fill_advance(space_id=space_id, now=now)
    return fill_progress(space_id=space_id)


def fill_lease(*, batch_id: UUID, owner: str, now: datetime) -> FillBatch | None:
    """Take a batch; None when it is done, dead, gone or held by somebody alive. The attempt is counted first."""
    with transaction.atomic():
        batch = FillBatch.objects.select_for_update(of=("self",), no_key=True).filter(pk=batch_id).first()
        if batch is None or batch.state in (FillState.DONE, FillState.DEAD):
            return None
        if batch.state == FillState.LEASED and batch.lease_expires_at and batch.lease_expires_at > now:
            return None
        if batch.attempts >= ATTEMPTS:
            _put_back(batch, now=now)
            return None
        batch.state = FillState.LEASED
        batch.attempts += 1
        batch.lease_owner, batch.lease_token = owner, uuid4()
        batch.lease_expires_at = now + timedelta(seconds=LEASE_S)
        batch.next_ring_at = None
        batch.save()
    return batch


def fill_heartbeat(*, batch_id: UUID, lease_token: UUID, now: datetime) -> bool:
    """Extend a lease; False when it is lost."""
    held = FillBatch.objects.filter(pk=batch_id, lease_token=lease_token, state=FillState.LEASED)
    return bool(held.update(lease_expires_at=now + timedelta(seconds=LEASE_S)))


def fill_segments(batch: FillBatch) -> list[Segment]:
    """Return the segments of a batch that still lack their vector."""
    with acting_as_system():
        missing = _missing(EmbeddingSpace.objects.get(pk=batch.space_id))
        return list(missing.filter(pk__gte=batch.first_segment, pk__lte=batch.last_segment).order_by("pk"))


def fill_finish(*, batch_id: UUID, lease_token: UUID, vectors: Mapping[UUID, Vectors], now: datetime) -> int:
    """Write a batch's vectors and end it, in one transaction.

    Args:
        batch_id: The batch.
        lease_token: That of its lease.
        vectors: One vector of the space for each segment's id.
        now: The clock.

    Returns:
        How many were written: a segment that went away or got its vector meanwhile is passed over.

    Raises:
        LeaseLost: The token is not the current one; nothing is written.
        Invalid: A vector does not fit the space.
    """
    with acting_as_system():
        batch = _held(batch_id, lease_token)
        space = _space_locked(batch.space_id)
        rows = list(_rows(space, vectors))
        if space.sealed:
            vectors_insert(rows)
        else:
            vectors_copy(space.pk, rows)
        batch.state, batch.finished_at = FillState.DONE, now
        batch.lease_owner, batch.lease_token, batch.lease_expires_at = "", None, None
        batch.save()
    return len(rows)


def fill_fail(
    *, batch_id: UUID, lease_token: UUID, code: str, message: str, retryable: bool, now: datetime
) -> FillState:
    """Give a batch up: back to the others, or for good after the third attempt or an error that no retry mends.

    Raises:
        LeaseLost: The token is not the current one.
    """
    with acting_as_system():
        batch = _held(batch_id, lease_token)
        batch.error_code, batch.error_message = code, message
        if not retryable:
            batch.attempts = ATTEMPTS
        return _put_back(batch, now=now)


def fill_advance(*, space_id: int, now: datetime) -> FillPhase:
    """Say where a fill is after a batch has ended; plan once more for segments that came without their vector.

    Raises:
        NotFound: There is no such space.
    """
    with acting_as_system():
        space = _space_locked(space_id)
        if _open(space).exists():
            return "filling"
        if space.batches.filter(state=FillState.DEAD).exists():
            return "failed"
        if _plan(space):
            _ring(_open(space), now=now)
            return "filling"
        space.filled_at = now
        space.save(update_fields=["filled_at"])
    return "ready" if space.sealed else "filled"


def fill_progress(*, space_id: int) -> FillProgress:
    """Say how far a space is.

    Raises:
        NotFound: There is no such space.
    """
    with acting_as_system():
        space = EmbeddingSpace.objects.filter(pk=space_id).first()
        if space is None:
            raise NotFound(f"there is no embedding space {space_id}")
        states = space.batches.order_by().values_list("state").annotate(count=Count("pk"))
        batches = {str(state): count for state, count in states}
        dead = space.batches.filter(state=FillState.DEAD).order_by("number").first()
        wanted = segments_held(space).count()
        vectors = Embedding.objects.filter(space_id=space_id).count()
        lacking = vectors < wanted and _missing(space).exists()
    return FillProgress(
        phase=_phase(space, batches, lacking=lacking),
        wanted=wanted,
        vectors=vectors,
        batches=batches,
        error=f"{dead.error_code}: {dead.error_message}" if dead is not None else "",
    )


def fills_release(*, owner: str, now: datetime) -> int:
    """Take back what a worker slot held in its former life; returns how many batches."""
    return _recover(Q(state=FillState.LEASED, lease_owner=owner), now)


def fills_reap(*, now: datetime) -> int:
    """Take back expired leases and ring again for batches nobody took; returns the leases taken back."""
    recovered = _recover(Q(state=FillState.LEASED, lease_expires_at__lte=now), now)
    with transaction.atomic():
        late = FillBatch.objects.select_for_update(skip_locked=True, no_key=True)
        _ring(
            late.filter(state=FillState.PENDING, next_ring_at__lte=now).order_by("next_ring_at")[:RING_LIMIT], now=now
        )
    return recovered


def _phase(space: EmbeddingSpace, batches: Mapping[str, int], *, lacking: bool) -> FillPhase:
    if batches.get(FillState.PENDING) or batches.get(FillState.LEASED):
        return "filling"
    if batches.get(FillState.DEAD):
        return "failed"
    if lacking:
        return "waiting"
    return "ready" if space.sealed else "filled"


def _space_locked(space_id: int) -> EmbeddingSpace:
    # Sealing changes this row: it waits for a batch that is being written, and the next batch sees that it is sealed.
    space = EmbeddingSpace.objects.select_for_update(no_key=True).filter(pk=space_id).first()
    if space is None:
        raise NotFound(f"there is no embedding space {space_id}")
    return space


def _open(space: EmbeddingSpace) -> QuerySet[FillBatch]:
    return space.batches.filter(state__in=[FillState.PENDING, FillState.LEASED])


def _missing(space: EmbeddingSpace) -> QuerySet[Segment]:
    there = Embedding.objects.filter(space_id=space.pk, segment_id=OuterRef("pk"))
    return segments_held(space).filter(~Exists(there))


def _plan(space: EmbeddingSpace) -> int:
    first_number = (space.batches.aggregate(last=Max("number"))["last"] or 0) + 1
    keys = iter(_missing(space).order_by("pk").values_list("pk", flat=True).iterator(chunk_size=10_000))
    planned = FillBatch.objects.bulk_create(
        [
            FillBatch(space=space, number=number, first_segment=batch[0], last_segment=batch[-1], segments=len(batch))
            for number, batch in enumerate(_batches(keys), start=first_number)
        ],
        batch_size=1000,
    )
    return len(planned)


def _batches(keys: Iterator[UUID]) -> Iterator[list[UUID]]:
    while batch := list(islice(keys, BATCH_SEGMENTS)):
        yield batch


def _ring(batches: Iterable[FillBatch], *, now: datetime) -> None:
    for batch in batches:
        FillBatch.objects.filter(pk=batch.pk).update(next_ring_at=now + timedelta(seconds=RING_AGAIN_S))
        # The batch is stored: a broker that is away delays it until the reaper rings again.
        transaction.on_commit(lambda key=batch.pk: fill_publish(batch_id=str(key)), robust=True)  # type: ignore[misc]


def _held(batch_id: UUID, lease_token: UUID) -> FillBatch:
    batch = (
        FillBatch.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk=batch_id, lease_token=lease_token, state=FillState.LEASED)
        .first()
    )
    if batch is None:
        raise LeaseLost(f"fill batch {batch_id} is no longer held by this worker; its vectors are thrown away")
    return batch


def _rows(space: EmbeddingSpace, vectors: Mapping[UUID, Vectors]) -> Iterator[VectorRow]:
    for segment_id, collection_id in _locked_segments(space, list(vectors)):
        vector = vectors[segment_id]
        if vector.shape != (space.dimensions,):
            raise Invalid(f"a vector of shape {vector.shape} does not fit space {space.pk} ({space.dimensions})")
        yield vector_row(space_id=space.pk, segment_id=segment_id, collection_id=collection_id, vector=vector)


def _locked_segments(space: EmbeddingSpace, segment_ids: list[UUID]) -> list[tuple[UUID, UUID]]:
    # Until this transaction ends nobody deletes or replaces these segments, so nobody else writes their vectors.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.id, s.collection_id FROM segments_segment s WHERE s.id = ANY(%s) AND NOT EXISTS "
            "(SELECT FROM segments_embedding e WHERE e.space_id = %s AND e.segment_id = s.id) FOR KEY SHARE OF s",
            [segment_ids, space.pk],
        )
        return list(cursor.fetchall())


def _put_back(batch: FillBatch, *, now: datetime) -> FillState:
    dead = batch.attempts >= ATTEMPTS
    if dead and not batch.error_code:
        batch.error_code = "worker_lost"
        batch.error_message = f"the worker ended {batch.attempts} times while it was busy with this batch"
    batch.state = FillState.DEAD if dead else FillState.PENDING
    batch.finished_at = now if dead else None
    batch.lease_owner, batch.lease_token, batch.lease_expires_at = "", None, None
    batch.save()
    if not dead:
        _ring([batch], now=now)
    return batch.state


def _recover(which: Q, now: datetime) -> int:
    with transaction.atomic():
        found = FillBatch.objects.select_for_update(skip_locked=True, no_key=True).filter(which)
        return len([_put_back(batch, now=now) for batch in found])
