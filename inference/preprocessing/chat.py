"""What both llama.cpp engines do with a conversation before the chat template sees it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from inference.errors import ContextOverflow, EmptyInput, EngineUnavailable
from inference.values import ChatMessage

_CONTROL = re.compile(r"<(?=\|[^|<>]{1,40}\|>|/?s>|(?:start|end)_of_turn>)|(?<=\[)(?=/?INST\])")


def messages_inert(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Return the messages for a template, with the control tokens that stand in their text made ordinary text.

    A passage of a document that says ``<|im_end|>`` must not end the turn it is quoted in. A space inside the token's
    first bracket keeps it readable and takes its power.

    Raises:
        EmptyInput: There is no message.
    """
    if not messages:
        raise EmptyInput("the conversation has no message: there is nothing to answer")
    return [{"role": message.role, "content": text_inert(message.content)} for message in messages]


def context_check(prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
    """Refuse what does not fit, before anything is generated.

    Raises:
        ContextOverflow: Prompt and answer together exceed the window.
    """
    if prompt_tokens + max_tokens > context_tokens:
        raise ContextOverflow(
            f"the prompt has {prompt_tokens} tokens and {max_tokens} more were asked for, but the window holds"
            f" {context_tokens}; shorten the prompt by {prompt_tokens + max_tokens - context_tokens} tokens"
        )


def gguf_path(folder: Path) -> Path:
    """Return the model file of a folder.

    Raises:
        EngineUnavailable: It is not there.
    """
    path = folder / "model.gguf"
    if not path.is_file():
        raise EngineUnavailable(f"{path} is missing; fetch the model first")
    return path


def text_inert(content: str) -> str:
    """Return a text with its control tokens made ordinary text, and with nothing that UTF-8 cannot say."""
    # A lone surrogate has no UTF-8 form, which is what the tokenizer reads.
    return _CONTROL.sub(lambda match: f"{match.group()} ", content.encode("utf-8", "replace").decode("utf-8"))
