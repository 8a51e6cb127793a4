"""The answer service: a question is stored, answered by a worker, streamed, attributed and kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

from django.db import transaction

from core.access.acting import acting_as, acting_as_system
from core.access.errors import NotFound
from core.access.models import User
from core.access.service import audit, visible_to
from core.answers.attribution import (
    Attributor,
    Citation,
    SentenceEmbedder,
    Span,
    cite,
    lexical_support,
    segment_spans,
)
from core.answers.evidence import Evidence, evidence_weigh
from core.answers.models import Answer, AnswerState
from core.answers.prompting import LANGUAGE_NAMES, prompt_messages
from core.answers.spans import finished_sentences
from core.answers.stream import cancel_request, event_append, reader_seen, stop_reason
from core.remote import answer_publish
from core.search.service import QueryEmbedder, SearchResult, segments_search
from core.segments.models import Segment
from core.settings.calibration import calibration
from core.settings.profile import profile
from inference.values import ChatDelta, ChatRequest

SEARCHED_SEGMENTS = 8
"""Segments that are weighed as evidence; quotes come from these."""

PROMPT_SEGMENTS = 3
ANSWER_LIFE_S = 900.0

EVIDENCE_MARGIN = 2.0
"""How much weaker than the best (in log-odds) evidence may be and still be used."""

REPEATED_SHARE = 0.8

POINTING_WEIGHT = 4.0
"""Log-odds that full nearness to the rejected text is worth when the span to quote is chosen."""
PROMPT_BUDGET_TOKENS = 900
ANSWER_MAX_TOKENS = 96

REFUSAL = "The documents in this collection do not answer this question. The nearest passages are shown as hits."


NEAR_REFUSAL = "The documents in this collection do not clearly answer this question. The nearest passage says:"

NEAR_PROBABILITY = 0.1
"""Below this not even the nearest passage is worth quoting."""


class LanguageModel(Protocol):
    """What this service needs of a language model."""

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer to a conversation."""
        ...


@dataclasses.dataclass(slots=True)
class _Draft:
    """The answer while it is made."""

    sentences: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    citations: list[Citation] = dataclasses.field(default_factory=list)
    notice: str = ""
    extractive: bool = False
    refused: bool = False
    stopped: str | None = None

    def add(self, text: str, citation: Citation | None) -> dict[str, Any]:
        """Append one checked sentence and return it as its event shows it."""
        numbers = [self._number(citation)] if citation is not None else []
        sentence = {"text": text, "citations": numbers, "unsupported": citation is None}
        self.sentences.append(sentence)
        return sentence

    def clear(self) -> str:
        """Take everything back that was said, and return it."""
        said = " ".join(one["text"] for one in self.sentences)
        self.sentences.clear()
        self.citations.clear()
        return said

    def _number(self, citation: Citation) -> int:
        if citation not in self.citations:
            self.citations.append(citation)
        return self.citations.index(citation) + 1

    @property
    def text(self) -> str:
        """The whole answer with its marks."""
        marked = [
            one["text"] + ("".join(f" [{n}]" for n in one["citations"]) if one["citations"] else " [unsupported]")
            for one in self.sentences
        ]
        return " ".join(([self.notice] if self.notice else []) + marked)


def answer_create(*, user: User, collection_id: UUID, question: str) -> Answer:
    """Store a question and ask a worker to answer it.

    Raises:
        NotFound: The collection does not exist or the user may not see it.
    """
    with acting_as(user):
        collection = visible_to(user).filter(pk=collection_id).first()
        if collection is None:
            raise NotFound("there is no such collection")
        answer = Answer.objects.create(collection=collection, user=user, question=question.strip())
        audit(user=user, action="ask", subject=str(answer.pk), detail={"collection": str(collection.pk)})
        transaction.on_commit(lambda: _publish(str(answer.pk)))
    return answer


def _publish(answer_id: str) -> None:
    reader_seen(answer_id)
    answer_publish(answer_id=answer_id)


def answer_get(*, user: User, answer_id: UUID) -> Answer:
    """Return one of the user's own answers.

    Raises:
        NotFound: It does not exist, is somebody else's, or its collection may no longer be seen.
    """
    with acting_as(user):
        answer = Answer.objects.filter(pk=answer_id, user=user, collection__in=visible_to(user)).first()
    if answer is None:
        raise NotFound("there is no such answer")
    return answer


def answer_cancel(*, user: User, answer_id: UUID) -> None:
    """End the generation of an answer at its next token."""
    cancel_request(str(answer_get(user=user, answer_id=answer_id).pk))


def answers_reap(*, now: dt.datetime) -> int:
    """End the answers whose worker has died; returns how many. Every answer ends well within ``ANSWER_LIFE_S``."""
    with acting_as_system():
        lost = Answer.objects.filter(
            state=AnswerState.RUNNING, created_at__lt=now - dt.timedelta(seconds=ANSWER_LIFE_S)
        )
        found = list(lost.select_related("user"))
    for answer in found:
        _finish(answer, answer.user, state=AnswerState.FAILED, error_message="the worker ended; ask again")
        event_append(answer_id=str(answer.pk), event="error", data=answer_json(answer))
    return len(found)


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return the public form of an answer."""
    return {
        "id": str(answer.pk),
        "question": answer.question,
        "state": answer.state,
        "answer": answer.text,
        "refused": answer.refused,
        "extractive": answer.extractive,
        "sentences": answer.sentences,
        "citations": answer.citations,
        "hits": answer.evidence.get("hits", []),
        "evidence": {key: value for key, value in answer.evidence.items() if key != "hits"},
        "error": answer.error_message or None,
    }


def answer_run(
    *,
    answer_id: str,
    language_model: LanguageModel,
    query_embedder: QueryEmbedder,
    sentence_embedder: SentenceEmbedder,
) -> None:
    """Answer one stored question; runs in a worker, streams its events and stores the result.

    An exception is stored and streamed as the answer's error, then raised to the caller.
    """
    with acting_as_system():
        answer = Answer.objects.select_related("user").get(pk=UUID(answer_id))
    user = answer.user
    try:
        _answer(answer, user, language_model, query_embedder, sentence_embedder)
    except Exception as error:
        _finish(answer, user, state=AnswerState.FAILED, error_message=f"{type(error).__name__}: {error}")
        event_append(answer_id=answer_id, event="error", data=answer_json(answer))
        raise


def _answer(
    answer: Answer,
    user: User,
    language_model: LanguageModel,
    query_embedder: QueryEmbedder,
    sentence_embedder: SentenceEmbedder,
) -> None:
    found = segments_search(
        user=user,
        embedder=query_embedder,
        text=answer.question,
        collection_ids=[answer.collection_id],
        limit=SEARCHED_SEGMENTS,
    )
    spans = segment_spans([hit.segment for hit in found.hits], question=answer.question)
    attributor = Attributor(
        spans=spans, question=answer.question, embed=sentence_embedder, calibration=calibration().attribution
    )
    evidence = evidence_weigh(
        question=answer.question,
        question_vector=query_embedder(role="text", text=answer.question),
        terms=found.terms,
        spans=spans,
        span_vectors=attributor.vectors,
        calibration=calibration().refusal,
    )
    draft = _Draft()
    if not evidence.answerable:
        _refuse(str(answer.pk), draft, spans, evidence)
    elif _language(found) not in _model_languages():
        best = evidence.ranked[0]
        _extract(str(answer.pk), draft, spans[best], notice=_quoting_notice(_language(found)))
    else:
        request = ChatRequest(
            messages=prompt_messages(
                question=answer.question,
                segments=_sources(spans, evidence),
                language=_language(found),
                budget_tokens=PROMPT_BUDGET_TOKENS,
            ),
            max_tokens=ANSWER_MAX_TOKENS,
        )
        _generate(str(answer.pk), draft, attributor, language_model.generate(request))
        if draft.stopped is None and not _is_to_the_point(draft, spans, evidence):
            rejected = draft.clear()
            event_append(answer_id=str(answer.pk), event="restart", data={"reason": "the sources do not support it"})
            best = _pointed_at(attributor.nearness(rejected), evidence)
            _extract(str(answer.pk), draft, spans[best], notice="")
    _store(answer, user, draft, found, evidence)


def _refuse(answer_id: str, draft: _Draft, spans: Sequence[Span], evidence: Evidence) -> None:
    """Refuse; where something comes near, its nearest passage is quoted, so that the reader can judge."""
    draft.refused, draft.notice = True, REFUSAL
    if evidence.probability >= NEAR_PROBABILITY:
        _extract(answer_id, draft, spans[evidence.ranked[0]], notice=NEAR_REFUSAL)


def _language(found: SearchResult) -> str:
    return found.terms.configuration if found.terms is not None else "english"


def _model_languages() -> tuple[str, ...]:
    return tuple(profile().roles["language"].options.get("languages", ["english"]))


def _quoting_notice(language: str) -> str:
    name = LANGUAGE_NAMES[language]
    return f"The language model installed here does not write {name}; this is quoted from the sources:"


def _sources(spans: Sequence[Span], evidence: Evidence) -> list[Segment]:
    """Return the segments that the model reads: those with strong spans, strongest first, none that repeats another.

    A small model takes what it is shown for the answer; what is clearly weaker than the best evidence misleads it.
    """
    best = evidence.logits[evidence.ranked[0]]
    chosen: dict[UUID, Segment] = {}
    for index in evidence.ranked:
        segment = spans[index].segment
        if evidence.logits[index] < best - EVIDENCE_MARGIN or len(chosen) == PROMPT_SEGMENTS:
            break
        if not any(_repeats(segment, other) for other in chosen.values()):
            chosen.setdefault(segment.pk, segment)
    return list(chosen.values())


def _repeats(segment: Segment, other: Segment) -> bool:
    """Whether another segment of the same document says nearly the same, as a scan's text and its caption do."""
    if segment.pk == other.pk or segment.document_id != other.document_id:
        return False
    return lexical_support(segment.text, other.text) >= REPEATED_SHARE


def _is_to_the_point(draft: _Draft, spans: Sequence[Span], evidence: Evidence) -> bool:
    """Whether what was generated rests on evidence about as strong as the best; else it speaks of another thing."""
    cited = {(citation.segment_id, citation.quote) for citation in draft.citations}
    strengths = [
        logit for span, logit in zip(spans, evidence.logits, strict=True) if (span.segment.pk, span.quote) in cited
    ]
    return bool(strengths) and max(strengths) >= evidence.logits[evidence.ranked[0]] - EVIDENCE_MARGIN


def _generate(answer_id: str, draft: _Draft, attributor: Attributor, deltas: Iterator[ChatDelta]) -> None:
    rest = ""
    for delta in deltas:
        draft.stopped = stop_reason(answer_id)
        if draft.stopped is not None:
            # Closing the iterator is what ends generation in the engine.
            getattr(deltas, "close", lambda: None)()
            break
        event_append(answer_id=answer_id, event="token", data={"text": delta.text})
        finished, rest = finished_sentences(rest + delta.text)
        for sentence in finished:
            _attribute(answer_id, draft, attributor, sentence)
    if rest.strip() and draft.stopped is None:
        _attribute(answer_id, draft, attributor, rest.strip())


def _attribute(answer_id: str, draft: _Draft, attributor: Attributor, sentence: str) -> None:
    citation = attributor.support(sentence)
    event = draft.add(sentence, citation)
    shown = [draft.citations[n - 1].as_json(n) for n in event["citations"]]
    event_append(answer_id=answer_id, event="sentence", data={**event, "cited": shown})


def _pointed_at(nearness: Sequence[float], evidence: Evidence) -> int:
    """Return the span to quote instead of a rejected text.

    What the model said is not supported, but it says what the model took for the answer: of evidence that is about
    equally strong, the span nearest to it is quoted.
    """
    strong = [
        index
        for index in evidence.ranked
        if evidence.logits[index] >= evidence.logits[evidence.ranked[0]] - EVIDENCE_MARGIN
    ]
    return max(strong, key=lambda index: evidence.logits[index] + POINTING_WEIGHT * nearness[index])


def _extract(answer_id: str, draft: _Draft, span: Span, *, notice: str) -> None:
    """Answer with the source's own words."""
    draft.extractive, draft.notice = True, notice
    event = draft.add(" ".join(span.quote.split()), cite(span))
    shown = [draft.citations[n - 1].as_json(n) for n in event["citations"]]
    event_append(answer_id=answer_id, event="sentence", data={**event, "cited": shown})


def _store(answer: Answer, user: User, draft: _Draft, found: SearchResult, evidence: Evidence) -> None:
    answer.refused, answer.extractive = draft.refused, draft.extractive
    answer.text, answer.sentences = draft.text, draft.sentences
    answer.citations = [citation.as_json(n) for n, citation in enumerate(draft.citations, start=1)]
    language = profile().roles["language"]
    answer.evidence = {
        "hits": [hit.as_json() for hit in found.hits],
        "coverage": round(evidence.coverage, 4),
        "similarity": round(evidence.similarity, 4),
        "probability": round(evidence.probability, 4),
        "threshold": calibration().refusal.threshold,
        "spaces": dict(found.space_digests),
        "language_model": {"engine": language.engine, "models": list(language.models)},
        "stopped": draft.stopped,
    }
    state = AnswerState.DONE if draft.stopped is None else AnswerState.CANCELLED
    _finish(answer, user, state=state)
    event_append(answer_id=str(answer.pk), event="done", data=answer_json(answer))


def _finish(answer: Answer, user: User, *, state: AnswerState, error_message: str = "") -> None:
    answer.state, answer.error_message = state, error_message
    answer.finished_at = dt.datetime.now(dt.UTC)
    with acting_as(user):
        answer.save()
