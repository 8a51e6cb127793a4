"""One chat without a collection: pieces go to the broker as they come, and end when nobody reads them any more."""

from __future__ import annotations

import logging
from typing import Any

from core import remote
from core.chat_stream import ChatCall, chat_event, chat_is_wanted
from gpu_worker import services
from gpu_worker.calls.counting import language_tokens
from gpu_worker.calls.embedding import role_require
from gpu_worker.calls.pictures import picture_read
from inference.errors import ContextOverflow, InferenceError
from inference.values import ChatMessage, ChatRequest, PictureToDescribe

logger = logging.getLogger(__name__)

CHAT_DEADLINE_S = 300.0


def chat_run(*, chat_id: str, call: ChatCall) -> None:
    """Answer one chat; an error becomes its last event."""
    if not chat_is_wanted(chat_id):
        return
    try:
        usage = _pictures_answer(chat_id, call) if call.pictures else _text_answer(chat_id, call)
    except InferenceError as error:
        chat_event(chat_id, "error", {"code": error.code, "message": str(error)})
    except Exception as error:  # the worker's boundary: whoever waits for the answer gets a sentence
        logger.exception("chat %s failed", chat_id)
        chat_event(chat_id, "error", {"code": "internal_error", "message": f"{type(error).__name__}: {error}"})
    else:
        if usage is not None:
            chat_event(chat_id, "done", usage)
        else:
            chat_event(chat_id, "cancelled", {})


def _text_answer(chat_id: str, call: ChatCall) -> dict[str, Any] | None:
    role_require("language")
    messages = tuple(ChatMessage(role=turn.role, content=turn.content) for turn in call.turns)
    with services.engines().lease(
        role="language",
        priority="interactive",
        deadline_s=CHAT_DEADLINE_S,
        stopped=lambda: not chat_is_wanted(chat_id),
    ) as model:
        room = model.context_tokens - len(model.prompt_token_ids(messages))
        if room <= 0:
            raise ContextOverflow(
                f"the messages have {model.context_tokens - room} tokens; "
                f"the model's window is {model.context_tokens} tokens and has to hold the answer too"
            )
        request = ChatRequest(
            messages=messages,
            max_tokens=room if call.max_tokens is None else call.max_tokens,
            temperature=call.temperature,
            seed=call.seed,
            stop=call.stop,
            json_schema=call.json_schema,
        )
        for delta in model.generate(request):
            if delta.text:
                chat_event(chat_id, "token", {"text": delta.text})
            if delta.finish_reason is not None:
                return {
                    "finish_reason": delta.finish_reason,
                    "prompt_tokens": delta.prompt_tokens,
                    "completion_tokens": delta.completion_tokens,
                }
    return None


def _pictures_answer(chat_id: str, call: ChatCall) -> dict[str, Any]:
    """Ask the vision-language role the last turn about each picture; text in the picture is read for it first."""
    role_require("vision")
    question = call.turns[-1].content
    engines = services.engines()
    said: list[str] = []
    for number, name in enumerate(call.pictures, start=1):
        image = picture_read(remote.call_file(name), owner=call.owner, name=f"picture {number} of the chat")
        with engines.lease(role="ocr", priority="interactive", deadline_s=CHAT_DEADLINE_S) as reader:
            (reading,) = reader.read([image])
        picture = PictureToDescribe(image=image, lines=reading.lines, question=question or None)
        with engines.lease(role="vision", priority="interactive", deadline_s=CHAT_DEADLINE_S) as describer:
            (description,) = describer.describe([picture])
        prefix = f"Picture {number}: " if len(call.pictures) > 1 else ""
        said.append(f"{prefix}{description.caption}")
        if not chat_is_wanted(chat_id):
            break
        chat_event(chat_id, "token", {"text": said[-1] if number == 1 else f"\n{said[-1]}"})
    prompt, completion = language_tokens([" ".join(turn.content for turn in call.turns) or " ", "\n".join(said)])
    return {"finish_reason": "stop", "prompt_tokens": prompt, "completion_tokens": completion}
