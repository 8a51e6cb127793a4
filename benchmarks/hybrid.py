"""Does fusing the legs find more than each leg alone? nDCG@10 and MRR on the labelled questions and the samples."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import django

from benchmarks.anchor import anchor
from benchmarks.labelled import files, questions
from benchmarks.report import Figure, report
from benchmarks.stack import COLLECTION, stack_with
from core.settings.env import environment_default

if TYPE_CHECKING:
    from core.search.hits import SearchHit
    from core.segments.models import Segment

SUITE = "hybrid"
DEPTH = 10
PLACES_MAX = 5
"""Words that stand in more places ("6", "green") do not say where the answer is; such questions are left out."""

LEGS: Mapping[str, Sequence[str] | None] = {
    "hybrid": None,
    "full text": ["full_text"],
    "text vectors": ["text"],
    "picture vectors": ["picture_by_text"],
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A query with what answers it.

    Attributes:
        answers: Whether a hit does.
        places: How many distinct hits could.
        for_fitting: Whether the weights of the fusion were fitted on it.
    """

    query: str
    answers: Callable[[SearchHit], bool]
    places: int
    for_fitting: bool = False


def main() -> dict[str, Any]:
    """Ingest, search, judge, store and return the result."""
    stack_with(files())
    django.setup()
    before = anchor()
    labelled, left_out = _labelled()
    samples = _samples()
    figures: list[Figure] = []
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for name, judged in (
        ("questions that nothing was fitted on", [one for one in labelled if not one.for_fitting]),
        ("all labelled questions", labelled),
        ("samples of every modality", samples),
    ):
        scores[name] = {leg: _scores(judged, legs) for leg, legs in LEGS.items()}
        figures += [_figure(name, measure, scores[name], len(judged), before) for measure in ("ndcg", "mrr")]
    return report(SUITE, figures, scores=scores, left_out=left_out, depth=DEPTH, spaces=_digests())


def _figure(name: str, measure: str, scores: Mapping[str, Mapping[str, float]], queries: int, before: Any) -> Figure:
    alone = {leg: found[measure] for leg, found in scores.items() if leg != "hybrid"}
    best = max(alone, key=lambda leg: alone[leg])
    return Figure(
        name=f"{measure}@{DEPTH} of hybrid over the best leg alone, {name}",
        value=round(scores["hybrid"][measure] / alone[best], 3),
        goal=1.0,
        quality={"hybrid": scores["hybrid"][measure], **alone, "best leg": best, "queries": queries},
        anchor=before,
    )


def _labelled() -> tuple[list[Judged], int]:
    from core.access.acting import acting_as
    from core.search.duplicates import Fingerprint, first_alike
    from core.segments.models import Segment

    user, collection_id = _where()
    with acting_as(user):
        segments = list(Segment.objects.filter(collection_id=collection_id).defer("search_vector", "words", "spans"))
    judged, left_out = [], 0
    for question in questions():
        if question.expected is None:
            continue
        holding = [segment for segment in segments if _holds(segment, question.expected)]
        distinct: list[Fingerprint] = []
        for segment in holding:
            if first_alike(Fingerprint(segment), distinct) is None:
                distinct.append(Fingerprint(segment))
        if not 0 < len(distinct) <= PLACES_MAX:
            left_out += 1
            continue
        ids = {segment.pk for segment in holding}
        judged.append(
            Judged(
                query=question.text,
                answers=_one_of(ids),
                places=len(distinct),
                for_fitting=question.for_fitting,
            )
        )
    return judged, left_out


def _holds(segment: Segment, expected: str) -> bool:
    words = r"\s+".join(map(re.escape, expected.split()))
    return re.search(rf"(?<!\w){words}(?!\w)", segment.text, re.IGNORECASE) is not None


def _one_of(ids: set[Any]) -> Callable[[SearchHit], bool]:
    return lambda hit: not ids.isdisjoint({hit.segment.pk, *(one.pk for one in hit.duplicates)})


def _samples() -> list[Judged]:
    from core.cli.samples import sample_checks

    return [Judged(query=check.query, answers=_in_file(check.file), places=1) for check in sample_checks()]


def _in_file(name: str) -> Callable[[SearchHit], bool]:
    def answers(hit: SearchHit) -> bool:
        return any(one.document.title == name for one in (hit.segment, *hit.duplicates))

    return answers


def _scores(judged: Sequence[Judged], legs: Sequence[str] | None) -> dict[str, float]:
    gains, first = [], []
    for one in judged:
        ranks = _ranks(one, legs)
        gain = sum(1 / math.log2(rank + 1) for rank in ranks[: one.places])
        gains.append(gain / sum(1 / math.log2(rank + 1) for rank in range(1, one.places + 1)))
        first.append(1 / ranks[0] if ranks else 0.0)
    return {"ndcg": round(statistics.mean(gains), 4), "mrr": round(statistics.mean(first), 4)}


def _ranks(one: Judged, legs: Sequence[str] | None) -> list[int]:
    from core.remote import query_embed
    from core.search.service import segments_search

    user, collection_id = _where()
    found = segments_search(
        user=user,
        embedder=query_embed,
        text=one.query,
        collection_ids=[collection_id],
        limit=DEPTH,
        whole=False,
        legs=legs,
    )
    return [hit.rank for hit in found.hits if one.answers(hit)]


def _where() -> tuple[Any, Any]:
    from core.access.lookup import collection_by_name
    from core.access.models import User

    user = User.objects.get(username="admin")
    return user, collection_by_name(user=user, name_or_id=COLLECTION).pk


def _digests() -> dict[str, str]:
    from core.segments.models import EmbeddingSpace

    return {space.name: space.digest for space in EmbeddingSpace.objects.filter(active=True)}


if __name__ == "__main__":
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    print(json.dumps(main(), indent=2))
