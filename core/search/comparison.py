"""Two embedding spaces asked the same questions: how far they agree, and which one answers better."""

from __future__ import annotations

import dataclasses
import math
import statistics
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from django.db.models.functions import Cast
from pgvector import HalfVector
from pgvector.django import CosineDistance, HalfVectorField

from core.access.acting import acting_as_system
from core.access.errors import Invalid
from core.search.legs import EF_SEARCH
from core.segments.models import Embedding, EmbeddingSpace, Segment
from inference.values import Vectors

DEPTH = 10
SAMPLED_WORDS = 12

QueriesEmbed = Callable[[str, Sequence[str]], Vectors]
"""Embeds queries into the space of a digest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query, and words that stand in every segment that answers it; None where nobody said."""

    text: str
    expected: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How well a space answers labelled questions."""

    ndcg_at_10: float
    mrr: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the two spaces gave.

    Attributes:
        overlap_at_10: Mean share of the ten nearest segments that both name.
        same_first: Share of questions with the same nearest segment.
        labelled: Questions whose answer is known; without any there is no quality.
    """

    questions: int
    overlap_at_10: float
    same_first: float
    labelled: int
    old: Quality | None
    new: Quality | None

    def as_json(self) -> dict[str, Any]:
        """Return the public form."""
        return dataclasses.asdict(self)


def questions_sampled(count: int) -> list[Question]:
    """Make queries of the beginnings of segments, evenly over all that is stored, the same in every run."""
    found: dict[UUID, str] = {}
    with acting_as_system():
        texts = Segment.objects.exclude(text="").order_by("pk").values_list("pk", "text")
        for index in range(count):
            row = texts.filter(pk__gte=uuid.UUID(int=(index << 128) // count)).first()
            if row is not None:
                found[row[0]] = " ".join(row[1].split()[:SAMPLED_WORDS])
    return [Question(text=text) for text in found.values()]


def spaces_compare(
    *, old: EmbeddingSpace, new: EmbeddingSpace, questions: Sequence[Question], embed: QueriesEmbed
) -> Comparison:
    """Ask both spaces the same questions, over everything that is stored; only numbers leave this function.

    Raises:
        Invalid: There is no question, or the spaces are not of one name.
    """
    if old.name != new.name:
        raise Invalid(f"space {old.pk} is '{old.name}' and space {new.pk} is '{new.name}'; compare two of one name")
    if not questions:
        raise Invalid("there is nothing to ask; give questions, or bring documents in first")
    texts = [one.text for one in questions]
    before, after = (_nearest(space, embed(space.digest, texts)) for space in (old, new))
    labelled = [index for index, one in enumerate(questions) if one.expected]
    pairs = list(zip(before, after, strict=True))
    return Comparison(
        questions=len(questions),
        overlap_at_10=round(statistics.fmean(_overlap(one, other) for one, other in pairs), 3),
        same_first=round(statistics.fmean(float(one[:1] == other[:1]) for one, other in pairs), 3),
        labelled=len(labelled),
        old=_quality([(questions[index], before[index]) for index in labelled]),
        new=_quality([(questions[index], after[index]) for index in labelled]),
    )


def _nearest(space: EmbeddingSpace, vectors: Vectors) -> list[list[UUID]]:
    typed = Cast("embedding", HalfVectorField(dimensions=space.dimensions))
    found = []
    with acting_as_system():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(EF_SEARCH)])
        for vector in vectors:
            distance: Any = CosineDistance(typed, HalfVector(np.asarray(vector, dtype=np.float32)))
            rows = Embedding.objects.filter(space_id=space.pk).order_by(distance)
            found.append(list(rows.values_list("segment_id", flat=True)[:DEPTH]))
    return found


def _overlap(before: Sequence[UUID], after: Sequence[UUID]) -> float:
    most = max(len(before), len(after))
    return len(set(before) & set(after)) / most if most else 1.0


def _quality(found: Sequence[tuple[Question, Sequence[UUID]]]) -> Quality | None:
    if not found:
        return None
    gains, ranks = [], []
    with acting_as_system():
        for question, keys in found:
            answering = Segment.objects.filter(text__icontains=question.expected or "")
            right = set(answering.filter(pk__in=keys).values_list("pk", flat=True))
            hits = [rank for rank, key in enumerate(keys, start=1) if key in right]
            best = _discounted(range(1, min(DEPTH, answering.count()) + 1))
            gains.append(_discounted(hits) / best if best else 0.0)
            ranks.append(1 / hits[0] if hits else 0.0)
    return Quality(ndcg_at_10=round(statistics.fmean(gains), 3), mrr=round(statistics.fmean(ranks), 3))


def _discounted(ranks: Sequence[int]) -> float:
    return sum(1 / math.log2(rank + 1) for rank in ranks)
