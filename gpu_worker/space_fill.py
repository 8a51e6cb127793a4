"""Fills a space: leases a batch of segments that lack their vector, embeds them, writes them, and ends the fill."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from uuid import UUID

from django.utils import timezone

from core.access.errors import CloisterError, Conflict, NotFound
from core.jobs.errors import LeaseLost
from core.segments.fill import (
    fill_advance,
    fill_fail,
    fill_finish,
    fill_heartbeat,
    fill_lease,
    fill_segments,
)
from core.segments.models import EmbeddingSpace, FillBatch
from core.segments.service import SpaceSpec, space_seal
from core.segments.space_spec import role_of, space_specs
from gpu_worker.engine_pool import EnginePool
from gpu_worker.step_runner import Heartbeat
from gpu_worker.steps.embed import vectors_of
from inference.errors import EngineUnavailable, InferenceError
from inference.values import Vectors

logger = logging.getLogger(__name__)


def fill_run(*, batch_id: UUID, owner: str, engines: EnginePool, specs: Mapping[str, SpaceSpec] | None = None) -> None:
    """Run one batch when it is there to be run; the last one of a fill also has the space indexed.

    Args:
        batch_id: The batch.
        owner: Name of the worker slot.
        engines: Leases engines of this host.
        specs: Spaces by the role that embeds into them; without it those of this host's profile.
    """
    batch = fill_lease(batch_id=batch_id, owner=owner, now=timezone.now())
    if batch is None:
        return
    token = batch.lease_token
    assert token is not None
    try:
        with Heartbeat(lambda now: fill_heartbeat(batch_id=batch.pk, lease_token=token, now=now), what=str(batch)):
            vectors = _embed(batch, engines, space_specs() if specs is None else specs)
            fill_finish(batch_id=batch.pk, lease_token=token, vectors=vectors, now=timezone.now())
    except LeaseLost:
        logger.info("%s was taken over; this attempt ends", batch)
        return
    except (InferenceError, CloisterError) as error:
        _fail(batch, error.code, str(error), retryable=getattr(error, "retryable", False))
    except Exception as error:  # the worker's boundary: whatever happened fails this batch alone
        logger.exception("%s failed", batch)
        _fail(batch, "internal_error", f"{type(error).__name__}: {error}", retryable=True)
    _advance(batch.space_id)


def _embed(batch: FillBatch, engines: EnginePool, specs: Mapping[str, SpaceSpec]) -> dict[UUID, Vectors]:
    space = EmbeddingSpace.objects.filter(pk=batch.space_id).first()
    if space is None:
        raise LeaseLost(f"space {batch.space_id} was dropped while it was filled")
    role = role_of(space.digest, specs)
    if role is None:
        raise EngineUnavailable(
            f"no role of this host's profile embeds into space {space.pk} ({space}, {space.recipe or 'unknown recipe'})"
        )
    segments = fill_segments(batch)
    if not segments:
        return {}
    rows = vectors_of(segments, role=role, space=space, engines=engines)
    return {segment.pk: row for segment, row in zip(segments, rows, strict=True)}


def _advance(space_id: int) -> None:
    try:
        if fill_advance(space_id=space_id, now=timezone.now()) == "filled":
            space_seal(space_id=space_id)
    except NotFound:
        logger.info("space %s was dropped while it was filled", space_id)
    except Conflict as error:
        # Not here: this worker connects as the application role alone, as it should on a host of its own.
        logger.warning("space %s is filled and not indexed yet: %s", space_id, error)


def _fail(batch: FillBatch, code: str, message: str, *, retryable: bool) -> None:
    assert batch.lease_token is not None
    try:
        state = fill_fail(
            batch_id=batch.pk,
            lease_token=batch.lease_token,
            code=code,
            message=message,
            retryable=retryable,
            now=timezone.now(),
        )
    except LeaseLost:
        logger.info("%s was taken over before its error was stored: %s", batch, message)
    else:
        logger.warning("%s: %s: %s; now %s", batch, code, message, state)
