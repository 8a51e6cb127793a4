"""Questions and answers as rows: asked, found again, cancelled, shown; ``core.answers.run`` makes the answers."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from core.access.acting import acting_as, acting_as_system
from core.access.errors import NotFound
from core.access.models import User
from core.access.service import audit, visible_to
from core.answers.followup import Turn, question_condense
from core.answers.models import Answer, AnswerState
from core.answers.stream import cancel_request, event_append, reader_seen
from core.remote import answer_publish

ANSWER_LIFE_S = 900.0


def answer_create(
    *,
    user: User,
    collection_id: UUID,
    question: str,
    follows: UUID | None = None,
    history: Sequence[Turn] = (),
) -> Answer:
    """Store a question and ask a worker to answer it.

    Args:
        user: The asker.
        collection_id: Where to look.
        question: As asked; it may leave something to the turns before it.
        follows: Any answer of the conversation that this question goes on with.
        history: Turns that a client keeps itself, oldest first; goes before ``follows``.

    Raises:
        NotFound: The collection or the answer before does not exist or the user may not see it.
    """
    question = question.strip()
    condensed = question_condense(question, history)
    with acting_as(user):
        collection = visible_to(user).filter(pk=collection_id).first()
        if collection is None:
            raise NotFound("there is no such collection")
        answer = Answer.objects.create(
            collection=collection,
            user=user,
            question=question,
            conversation=_conversation(user, follows),
            standalone=condensed.question if condensed.carried else "",
        )
        audit(user=user, action="ask", subject=str(answer.pk), detail={"collection": str(collection.pk)})
        transaction.on_commit(lambda: _publish(str(answer.pk)))
    return answer


def _conversation(user: User, follows: UUID | None) -> UUID:
    return uuid.uuid4() if follows is None else answer_get(user=user, answer_id=follows).conversation


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
        answer_finish(answer, answer.user, state=AnswerState.FAILED, error_message="the worker ended; ask again")
        event_append(answer_id=str(answer.pk), event="error", data=answer_json(answer))
    return len(found)


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return the public form of an answer."""
    return {
        "id": str(answer.pk),
        "conversation": str(answer.conversation),
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


def answer_finish(answer: Answer, user: User, *, state: AnswerState, error_message: str = "") -> None:
    """Store how an answer ended."""
    answer.state, answer.error_message = state, error_message
    answer.finished_at = dt.datetime.now(dt.UTC)
    with acting_as(user):
        answer.save()
