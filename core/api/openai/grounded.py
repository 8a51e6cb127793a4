"""Chat answers from a collection: the product's own answer service, as whole checked sentences with citations."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

from core.access.lookup import collection_by_name
from core.access.models import User
from core.answers.followup import Turn
from core.answers.models import Answer
from core.answers.run import NEAR_REFUSAL, REFUSAL
from core.answers.service import answer_create
from core.answers.stream import cancel_request, events_relay
from core.api.openai.chat_request import ChatAsked
from core.api.openai.chat_shapes import Ended, Said
from core.api.openai.errors import RequestRefused
from core.api.openai.file_ids import STORE_PREFIX
from core.api.openai.hanging_up import begin
from core.api.threads import in_thread
from core.chat_stream import ChatTurn
from core.remote import tokens_count

QUESTION_MAX_CHARS = 4000

_MARKS = re.compile(r" \[(?:\d+|unsupported)\]")


async def grounded_answer(*, user: User, asked: ChatAsked) -> AsyncGenerator[Said | Ended | None, None]:
    """Ask the collection the last message; yields checked sentences, then how it ended.

    A sentence is handed out once nothing can take it back: when the answer is settled, at the latest at its end.
    """
    answer = await begin(partial(_asked, user, asked), lambda begun: cancel_request(str(begun.pk)))
    relayed = _Relayed()
    try:
        async for item in events_relay(str(answer.pk)):
            if item is None:
                yield None
                continue
            event, data = item[1], json.loads(item[2])
            if event == "error":
                raise RequestRefused(
                    data.get("error") or "the answer could not be made; ask again", code="answer_failed", status=500
                )
            for said in relayed.take(event, data):
                yield said
            if event == "done":
                relayed.is_over = True
                yield await in_thread(partial(_ended, asked.turns[-1].content, data))
    finally:
        if not relayed.is_over:
            await in_thread(partial(cancel_request, str(answer.pk)))


class _Relayed:
    """What of an answer was handed out, and what is still held."""

    def __init__(self) -> None:
        self.is_over = False
        self._held: list[dict[str, Any]] = []
        self._handed_out = 0
        self._settled = False

    def take(self, event: str, data: dict[str, Any]) -> list[Said]:
        if event == "restart":
            self._held.clear()
        elif event == "sentence":
            self._held.append(data)
            self._settled = self._settled or data.get("settled") is True
            return self._release() if self._settled else []
        elif event == "done":
            return self._rest(data)
        return []

    def _release(self) -> list[Said]:
        said = [Said(self._spaced(one), {"citations": one.get("cited", [])}) for one in self._held]
        self._held.clear()
        return said

    def _rest(self, answer: dict[str, Any]) -> list[Said]:
        if self._handed_out:
            return self._release()
        # With the notice before it, such as that of a refusal.
        return [Said(answer["answer"])]

    def _spaced(self, sentence: dict[str, Any]) -> str:
        self._handed_out += 1
        notice = sentence.get("notice")
        if self._handed_out == 1:
            return f"{notice} {_marked(sentence)}" if notice else _marked(sentence)
        return f" {_marked(sentence)}"


def _asked(user: User, asked: ChatAsked) -> Answer:
    if asked.json_schema is not None or asked.stop:
        raise RequestRefused(
            "response_format and stop do not go with a collection: its answers are sentences that are checked whole",
            param="response_format" if asked.json_schema is not None else "stop",
        )
    if asked.pictures:
        raise RequestRefused("pictures do not go with a collection; ask about them without one", param="messages")
    question = _question(asked.turns)
    name = str(asked.collection).removeprefix(STORE_PREFIX)
    collection = collection_by_name(user=user, name_or_id=name)
    history = conversation_turns(asked.turns[:-1])
    return answer_create(user=user, collection_id=collection.pk, question=question, history=history)


def conversation_turns(turns: Sequence[ChatTurn]) -> list[Turn]:
    """Return questions and answers as the client keeps them, without the marks of citations and without refusals."""
    found: list[Turn] = []
    for turn in turns:
        if turn.role == "user" and turn.content.strip():
            found.append(Turn(question=turn.content.strip()[:QUESTION_MAX_CHARS]))
        elif turn.role == "assistant" and found and not turn.content.startswith((REFUSAL, NEAR_REFUSAL)):
            found[-1] = Turn(question=found[-1].question, answer=_MARKS.sub("", turn.content).strip())
    return found


def _question(turns: Sequence[ChatTurn]) -> str:
    question = turns[-1].content.strip()
    if turns[-1].role != "user" or not question:
        raise RequestRefused("the last message is the user's question", param="messages")
    if len(question) > QUESTION_MAX_CHARS:
        raise RequestRefused(
            f"the question has {len(question)} characters; the limit is {QUESTION_MAX_CHARS}",
            param="messages",
            status=413,
        )
    return question


def _marked(sentence: dict[str, Any]) -> str:
    marks = "".join(f" [{number}]" for number in sentence["citations"]) or " [unsupported]"
    return f"{sentence['text']}{marks}"


def _ended(question: str, answer: dict[str, Any]) -> Ended:
    usage = answer["evidence"].get("usage", {})
    if usage.get("prompt_tokens") is not None and usage.get("completion_tokens") is not None:
        prompt_tokens, completion_tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    else:
        # No model wrote this answer, it is quoted: its words are counted as the language model would read them.
        prompt_tokens, completion_tokens = tokens_count([question, answer["answer"] or " "])
    extra: dict[str, Any] = {
        "citations": answer["citations"],
        "answer_id": answer["id"],
        "refused": answer["refused"],
        "extractive": answer["extractive"],
    }
    if answer["refused"]:
        extra["hits"] = answer["hits"]
    return Ended(finish_reason="stop", prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, extra=extra)
