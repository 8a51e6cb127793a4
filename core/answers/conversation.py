"""The turns of a stored conversation, and the question that they and a follow-up come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol

from core.access.acting import acting_as
from core.access.models import User
from core.answers.followup import HISTORY_TURNS, Turn, condense_messages, question_condense
from core.answers.models import Answer, AnswerState
from core.search.terms import words
from inference.values import ChatDelta, ChatRequest

CONDENSED_MAX_TOKENS = 80


class LanguageModel(Protocol):
    """What condensing needs of a language model."""

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer to a conversation."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """The question that is searched and answered.

    Attributes:
        question: Stands alone.
        carried: Lower-case words that come from the turns before.
        documents: Ids of the documents whose words an earlier answer lent it.
        by_model: Whether a language model condensed it.
    """

    question: str
    carried: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    by_model: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the stored form: inside the documents it has words of, so that an erasure takes it along."""
        value: dict[str, Any] = {"question": self.question, "by_model": self.by_model}
        for document in self.documents:
            value = {"document": document, "condensed": value}
        return value


def standalone_question(*, answer: Answer, user: User, language_model: LanguageModel, condenses: bool) -> Standalone:
    """Condense a stored question with the turns of its conversation.

    Args:
        answer: The question's row.
        user: The asker.
        language_model: Asked to condense where it can.
        condenses: Whether the profile says that it can; else code does it, by carrying the topic's words.
    """
    if answer.standalone:
        return Standalone(question=answer.standalone, carried=_carried(answer.standalone, answer.question))
    with acting_as(user):
        before = list(
            Answer.objects.filter(
                conversation=answer.conversation, user=user, state=AnswerState.DONE, created_at__lt=answer.created_at
            ).order_by("-created_at")[:HISTORY_TURNS]
        )[::-1]
    history = [_turn(one) for one in before]
    condensed = question_condense(answer.question, history)
    if not history or not condensed.carried:
        return Standalone(question=answer.question)
    documents = _documents(before)
    if condenses:
        said = "".join(
            delta.text
            for delta in language_model.generate(
                ChatRequest(messages=condense_messages(answer.question, history), max_tokens=CONDENSED_MAX_TOKENS)
            )
        ).strip()
        if said:
            return Standalone(
                question=said, carried=_carried(said, answer.question), documents=documents, by_model=True
            )
    return Standalone(
        question=condensed.question,
        carried=_carried(condensed.question, answer.question),
        documents=documents if condensed.from_answer or _lent(before) else (),
    )


def _turn(answer: Answer) -> Turn:
    """Return an earlier turn as it was searched; a refused one has no answer."""
    said = "" if answer.refused else " ".join(one["text"] for one in answer.sentences)
    return Turn(question=_searched(answer), answer=said)


def _searched(answer: Answer) -> str:
    value = answer.evidence.get("condensed")
    while isinstance(value, dict) and "condensed" in value:
        value = value["condensed"]
    question = value.get("question") if isinstance(value, dict) else None
    return str(question) if question else answer.standalone or answer.question


def _lent(before: list[Answer]) -> bool:
    # Words that one turn took from an answer go on through the turns that follow.
    return any("document" in (one.evidence.get("condensed") or {}) for one in before)


def _documents(before: list[Answer]) -> tuple[str, ...]:
    return tuple(sorted({str(citation["document"]) for one in before for citation in one.citations}))


def _carried(standalone: str, question: str) -> tuple[str, ...]:
    said = set(words(question))
    return tuple(dict.fromkeys(word for word in words(standalone) if word not in said))
