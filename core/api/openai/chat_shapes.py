"""The shapes of chat answers: one completion, or its chunks."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any


def usage_json(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Return how many tokens were read and written."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """A piece of an answer; ``extra`` stands beside its content, such as citations."""

    text: str
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an answer ended; ``extra`` belongs to the whole message."""

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


class Shape:
    """The fixed fields of one answer."""

    def __init__(self, chat_id: str, *, model: str, fingerprint: str, include_usage: bool = False) -> None:
        self._identity = {"id": f"chatcmpl-{chat_id}", "created": int(time.time()), "model": model}
        self._fingerprint = fingerprint
        self._include_usage = include_usage

    def completion(self, said: Sequence[Said], ended: Ended) -> dict[str, Any]:
        """Return the whole answer at once."""
        message = {"role": "assistant", "content": "".join(one.text for one in said), "refusal": None, **ended.extra}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": ended.finish_reason}
        return {
            **self._fields("chat.completion"),
            "choices": [choice],
            "usage": usage_json(ended.prompt_tokens, ended.completion_tokens),
        }

    def opening(self) -> bytes:
        """Return the first chunk, which says who speaks."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def piece(self, said: Said) -> bytes:
        """Return a chunk with the next piece."""
        return self._chunk({"content": said.text, **said.extra}, None)

    def ending(self, ended: Ended) -> bytes:
        """Return the last chunks, usage included where it was asked for."""
        last = self._chunk(dict(ended.extra), ended.finish_reason)
        if self._include_usage:
            usage = usage_json(ended.prompt_tokens, ended.completion_tokens)
            last += sse({**self._fields("chat.completion.chunk"), "choices": [], "usage": usage})
        return last + b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._include_usage else {}
        return sse({**self._fields("chat.completion.chunk"), "choices": [choice], **usage})

    def _fields(self, kind: str) -> dict[str, Any]:
        return {"object": kind, **self._identity, "system_fingerprint": self._fingerprint}


def sse(event: dict[str, Any]) -> bytes:
    """Return one server-sent event without a name, as these clients expect it."""
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
