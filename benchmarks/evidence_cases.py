"""Searches every labelled question in a running stack and takes the features of the spans that were found."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from benchmarks.evidence_fit import Case
from benchmarks.labelled import Question
from core.access.lookup import collection_by_name
from core.access.models import User
from core.answers.attribution import segment_spans
from core.answers.features import FEATURES, Asked, span_features, spans_select
from core.answers.run import SEARCHED_SEGMENTS
from core.remote import query_embed
from core.search.service import segments_search
from gpu_worker.calls.sentences import sentences_embed


def cases_of(questions: Sequence[Question], *, collection: str) -> list[Case]:
    """Return the cases of these questions, in their order."""
    user = User.objects.get(username="admin")
    collection_id = collection_by_name(user=user, name_or_id=collection).pk
    return [_case(question, user, collection_id) for question in questions]


def _case(question: Question, user: User, collection_id: UUID) -> Case:
    result = segments_search(
        user=user,
        embedder=query_embed,
        text=question.text,
        collection_ids=[collection_id],
        limit=SEARCHED_SEGMENTS,
    )
    asked = Asked(text=question.text, vector=query_embed(role="text", text=question.text), terms=result.terms)
    segments = [hit.segment for hit in result.hits]
    ranks = {segment.pk: rank for rank, segment in enumerate(segments)}
    spans = spans_select(asked, segment_spans(segments), ranks)
    features = np.zeros((0, len(FEATURES)))
    if spans:
        features = span_features(
            asked=asked,
            spans=spans,
            span_vectors=sentences_embed([span.embedded for span in spans]),
            ranks=ranks,
            embed=sentences_embed,
        )
    expected = (question.expected or "").lower()
    return Case(
        question=question.text,
        expected=question.expected,
        language=asked.language,
        for_fitting=question.for_fitting,
        features=features,
        answers=np.array([bool(expected) and expected in span.quote.lower() for span in spans], dtype=np.bool_),
        segments=tuple(str(span.segment.pk) for span in spans),
        quotes=tuple(span.quote for span in spans),
        source=question.source,
    )
