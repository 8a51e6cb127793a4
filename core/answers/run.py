"""Makes one answer in a worker: condense, search, weigh, refuse or answer, attribute, store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol
from uuid import UUID

from core.access.acting import acting_as_system
from core.access.models import User
from core.answers.answer_type import answer_type, asks_for_picture, holds
from core.answers.attribution import (
    PICTURE_KINDS,
    Attributor,
    Citation,
    SentenceEmbedder,
    Span,
    cite,
    cite_picture,
    segment_spans,
)
from core.answers.context import EVIDENCE_MARGIN, Source, segments_shown, sources_build
from core.answers.conversation import Standalone, standalone_question
from core.answers.draft import Draft
from core.answers.evidence import Evidence, evidence_weigh
from core.answers.features import Asked, spans_select
from core.answers.models import Answer, AnswerState
from core.answers.prompting import LANGUAGE_NAMES, prompt_messages, sources_budget_chars
from core.answers.service import answer_finish, answer_json
from core.answers.spans import finished_sentences
from core.answers.storing import answer_store
from core.answers.stream import event_append, stop_reason
from core.answers.wording import DEFAULT_LANGUAGE
from core.search.service import QueryEmbedder, SearchResult, segments_search
from core.segments.models import Segment
from core.settings.calibration import calibration
from core.settings.profile import profile
from inference.values import ChatDelta, ChatRequest

SEARCHED_SEGMENTS = 12
"""Segments that are weighed as evidence; quotes come from these."""

ANSWER_MAX_TOKENS = 96
CONTEXT_TOKENS = 2048
"""Window of a language model whose profile does not say."""

POINTING_WEIGHT = 3.0
"""What full nearness to a rejected text adds to a span's strength when the span to quote is chosen."""

REFUSAL = "The documents in this collection do not answer this question. The nearest passages are shown as hits."
NEAR_REFUSAL = "The documents in this collection do not clearly answer this question. The nearest passage says:"
NEAR_PROBABILITY = 0.2
"""Below this not even the nearest passage is worth quoting."""


class LanguageModel(Protocol):
    """What this service needs of a language model."""

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer to a conversation."""
        ...


class PictureAnswerer(Protocol):
    """Asks the vision-language role about one stored picture."""

    def __call__(self, *, picture_sha256: str, lines: Sequence[str], question: str) -> str | None:
        """Return its answer, or None when it cannot tell from the picture."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The capabilities that an answer is made with."""

    language_model: LanguageModel
    query_embedder: QueryEmbedder
    sentence_embedder: SentenceEmbedder
    picture_answerer: PictureAnswerer


@dataclasses.dataclass(slots=True, kw_only=True)
class Work:
    """What is known about one answer while it is made."""

    answer_id: str
    standalone: Standalone
    found: SearchResult
    spans: Sequence[Span]
    evidence: Evidence
    attributor: Attributor
    draft: Draft = dataclasses.field(default_factory=Draft)
    sources: Sequence[Source] = ()

    @property
    def language(self) -> str:
        """The text search configuration of the question."""
        return self.found.terms.configuration if self.found.terms is not None else DEFAULT_LANGUAGE

    def say(self, text: str, citation: Citation | None) -> None:
        """Add one checked sentence and stream it; settled: nothing will take it back."""
        event = self.draft.add(text, citation)
        shown = [self.draft.citations[n - 1].as_json(n) for n in event["citations"]]
        settled = self.draft.extractive or self.draft.pictured or self.is_to_the_point()
        data = {**event, "cited": shown, "settled": settled, "notice": self.draft.notice}
        event_append(answer_id=self.answer_id, event="sentence", data=data)

    def is_to_the_point(self) -> bool:
        """Whether what was said rests on strong evidence; else it speaks of another thing."""
        return self.rests_on_the_best(self.draft.citations)

    def rests_on_the_best(self, citations: Sequence[Citation]) -> bool:
        """Whether one of these quotes is evidence about as strong as the best."""
        cited = {(citation.segment_id, citation.quote) for citation in citations}
        strong = self.evidence.near_best(EVIDENCE_MARGIN)
        return any((self.spans[index].segment.pk, self.spans[index].quote) in cited for index in strong)


def answer_run(*, answer_id: str, engines: Engines) -> None:
    """Answer one stored question; streams its events and stores the result.

    An exception is stored and streamed as the answer's error, then raised to the caller.
    """
    with acting_as_system():
        answer = Answer.objects.select_related("user").get(pk=UUID(answer_id))
    user = answer.user
    try:
        work = _weighed(answer, user, engines)
        _answer(work, user, engines)
        answer_store(
            answer=answer,
            user=user,
            draft=work.draft,
            found=work.found,
            evidence=work.evidence,
            sources=work.sources,
            standalone=work.standalone,
        )
    except Exception as error:
        answer_finish(answer, user, state=AnswerState.FAILED, error_message=f"{type(error).__name__}: {error}")
        event_append(answer_id=answer_id, event="error", data=answer_json(answer))
        raise


def _weighed(answer: Answer, user: User, engines: Engines) -> Work:
    standalone = standalone_question(
        answer=answer,
        user=user,
        language_model=engines.language_model,
        condenses=profile().roles["language"].condenses,
    )
    question = standalone.question
    found = segments_search(
        user=user,
        embedder=engines.query_embedder,
        text=question,
        collection_ids=[answer.collection_id],
        limit=SEARCHED_SEGMENTS,
    )
    asked = Asked(
        text=question,
        vector=engines.query_embedder(role="text", text=question),
        terms=found.terms,
        carried=frozenset(standalone.carried),
    )
    segments = [hit.segment for hit in found.hits]
    ranks = {segment.pk: rank for rank, segment in enumerate(segments)}
    spans = spans_select(asked, segment_spans(segments), ranks)
    attributor = Attributor(
        spans=spans,
        question=question,
        embed=engines.sentence_embedder,
        calibration=calibration().attribution,
        language=asked.language,
    )
    evidence = evidence_weigh(
        asked=asked,
        spans=spans,
        span_vectors=attributor.vectors,
        ranks=ranks,
        embed=engines.sentence_embedder,
        calibration=calibration().refusal,
    )
    return Work(
        answer_id=str(answer.pk),
        standalone=standalone,
        found=found,
        spans=spans,
        evidence=evidence,
        attributor=attributor,
    )


def _answer(work: Work, user: User, engines: Engines) -> None:
    picture = _picture_asked(work)
    if picture is not None and _from_picture(work, picture, engines.picture_answerer):
        return
    if not work.evidence.answerable:
        _refuse(work)
    elif work.language not in profile().roles["language"].languages:
        _extract(work, work.evidence.ranked[0], notice=_quoting_notice(work.language))
    else:
        _from_text(work, user, engines.language_model)


def _picture_asked(work: Work) -> Segment | None:
    """Return the picture that a question is about.

    It is the first hit of a question that asks for a picture, where the picture itself was recognised; else the picture
    that the best evidence stands in.
    """
    first = work.found.hits[0] if work.found.hits else None
    if first is not None and asks_for_picture(work.standalone.question):
        recognised = any(leg.startswith("picture") for leg in first.legs)
        if recognised and first.segment.kind in PICTURE_KINDS and first.segment.picture_sha256:
            return first.segment
    if not work.evidence.answerable:
        return None
    best = work.spans[work.evidence.ranked[0]].segment
    return best if best.kind in PICTURE_KINDS and best.picture_sha256 else None


def _from_picture(work: Work, picture: Segment, picture_answerer: PictureAnswerer) -> bool:
    """Answer by looking at the picture; without an answer of the vision role, by the caption of the picture asked for.

    Returns:
        Whether anything was said.
    """
    lines = [line for line in picture.text.split("\n")[1:] if line.strip()]
    said = picture_answerer(picture_sha256=picture.picture_sha256, lines=lines, question=work.standalone.question)
    if said is not None:
        checked = [(sentence, work.attributor.support(sentence)) for sentence in _sentences(said)]
        if asks_for_picture(work.standalone.question) or all(_is_strong(work, *one) for one in checked):
            work.draft.pictured = True
            for sentence, citation in checked:
                work.say(sentence, citation or cite_picture(picture))
            return True
    if work.evidence.answerable or not picture.text.strip():
        return False
    work.draft.extractive = True
    citation = cite_picture(picture)
    work.say(citation.quote, citation)
    return True


def _is_strong(work: Work, sentence: str, citation: Citation | None) -> bool:
    """Whether what was seen is not merely read off a line of the picture that answers another question."""
    question = work.standalone.question
    kind = answer_type(question)
    if kind is not None and not holds(kind, sentence, question=question):
        return False
    return citation is None or work.rests_on_the_best([citation])


def _sentences(text: str) -> list[str]:
    found, rest = finished_sentences(text)
    return [*found, rest.strip()] if rest.strip() else found


def _refuse(work: Work) -> None:
    """Refuse; where something comes near, its nearest passage is quoted, so that the reader can judge."""
    work.draft.refused, work.draft.notice = True, REFUSAL
    if work.evidence.probability >= NEAR_PROBABILITY:
        _extract(work, work.evidence.ranked[0], notice=NEAR_REFUSAL)


def _quoting_notice(language: str) -> str:
    name = LANGUAGE_NAMES[language]
    return f"The language model installed here does not write {name}; this is quoted from the sources:"


def _extract(work: Work, index: int, *, notice: str) -> None:
    """Answer with the source's own words."""
    work.draft.extractive, work.draft.notice = True, notice
    span = work.spans[index]
    work.say(" ".join(span.quote.split()), cite(span))


def _from_text(work: Work, user: User, language_model: LanguageModel) -> None:
    budget_chars = sources_budget_chars(context_tokens=_context_tokens(), answer_tokens=ANSWER_MAX_TOKENS)
    work.sources = sources_build(
        user=user, segments=segments_shown(work.spans, work.evidence), budget_chars=budget_chars
    )
    request = ChatRequest(
        messages=prompt_messages(
            question=work.standalone.question,
            sources=work.sources,
            language=work.language,
            budget_chars=budget_chars,
        ),
        max_tokens=ANSWER_MAX_TOKENS,
    )
    _generate(work, language_model.generate(request))
    if work.draft.stopped is None and not work.is_to_the_point():
        rejected = work.draft.clear()
        event_append(answer_id=work.answer_id, event="restart", data={"reason": "the sources do not support it"})
        _extract(work, _pointed_at(work, rejected), notice="")


def _context_tokens() -> int:
    return int(profile().roles["language"].options.get("context_tokens", CONTEXT_TOKENS))


def _generate(work: Work, deltas: Iterator[ChatDelta]) -> None:
    rest, ended = "", False
    for delta in deltas:
        if delta.finish_reason is not None:
            ended = True
            work.draft.prompt_tokens, work.draft.completion_tokens = delta.prompt_tokens, delta.completion_tokens
        work.draft.stopped = stop_reason(work.answer_id)
        if work.draft.stopped is not None:
            # Closing the iterator is what ends generation in the engine.
            getattr(deltas, "close", lambda: None)()
            return
        event_append(answer_id=work.answer_id, event="token", data={"text": delta.text})
        finished, rest = finished_sentences(rest + delta.text)
        for sentence in finished:
            work.say(sentence, work.attributor.support(sentence))
    if not ended:
        # The door to the engine ends a stream between two pieces, too, once nobody wants it.
        work.draft.stopped = stop_reason(work.answer_id)
    if work.draft.stopped is None:
        _last(work, rest.strip())


def _last(work: Work, rest: str) -> None:
    """Say what stands after the last finished sentence, unless it is an unsupported beginning of one."""
    if not rest:
        return
    citation = work.attributor.support(rest)
    if citation is not None or not work.draft.sentences or rest.endswith((".", "!", "?")):
        work.say(rest, citation)


def _pointed_at(work: Work, rejected: str) -> int:
    """Return the span to quote instead of a rejected text.

    What the model said is not supported, but it says what the model took for the answer: of evidence that is about
    equally strong, the span nearest to it is quoted.
    """
    nearness = work.attributor.nearness(rejected)
    strong = work.evidence.near_best(EVIDENCE_MARGIN)
    return max(strong, key=lambda index: work.evidence.strengths[index] + POINTING_WEIGHT * nearness[index])
