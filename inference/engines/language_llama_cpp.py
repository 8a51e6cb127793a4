"""A GGUF chat model on llama-cpp-python: one answer at a time."""

from __future__ import annotations

import codecs
import json
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from llama_cpp.llama_grammar import LlamaGrammar

from inference.errors import EngineBroken, InputRejected
from inference.preprocessing.chat import context_check, gguf_path, messages_inert
from inference.preprocessing.library_errors import library_errors
from inference.values import ChatDelta, ChatMessage, ChatRequest

_NAME = "llama_cpp"
_ALL_LAYERS = -1
_TEMPLATE = "tokenizer.chat_template"


class LlamaCppModel:
    """A chat model behind the template of its own file; a second request waits for the first to end.

    Options:
        context_tokens: Window of prompt and answer together.
    """

    recipe_version = "1"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        chosen = dict(options or {})
        self.context_tokens = int(chosen.pop("context_tokens", 2048))
        chosen.pop("slots", None)  # a profile may name either llama engine with the same options
        if chosen:
            raise InputRejected(f"{_NAME} does not know the options {sorted(chosen)}; it knows context_tokens")
        kind, _, number = device.partition(":")
        with library_errors(_NAME, f"loading {folders[0]}"):
            self._llama = llama_cpp.Llama(
                model_path=str(gguf_path(folders[0])),
                n_ctx=self.context_tokens,
                n_threads=threads,
                n_threads_batch=threads,
                n_gpu_layers=0 if kind == "cpu" else _ALL_LAYERS,
                main_gpu=int(number or 0),
                verbose=False,
            )
            self._formatter = self._template()
        self._busy = threading.Lock()

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer; closing the iterator ends generation within one token."""
        prompt = self.prompt_token_ids(request.messages)
        context_check(len(prompt), request.max_tokens, self.context_tokens)
        return self._deltas(request, prompt)

    def count_tokens(self, batch: Sequence[str]) -> Sequence[int]:
        """Count the tokens of each text, without special tokens."""
        with library_errors(_NAME, f"counting the tokens of {len(batch)} texts"):
            return [len(self._llama.tokenize(_bytes(text), add_bos=False, special=False)) for text in batch]

    def prompt_token_ids(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Return the token ids that the chat template makes of a conversation."""
        with library_errors(_NAME, "applying the chat template"):
            rendered = self._formatter(messages=messages_inert(messages)).prompt  # type: ignore[arg-type]
            return self._llama.tokenize(_bytes(rendered), add_bos=self._adds_bos(rendered), special=True)

    def close(self) -> None:
        """Give the model's memory back."""
        self._llama.close()

    def _template(self) -> Jinja2ChatFormatter:
        if _TEMPLATE not in self._llama.metadata:
            raise EngineBroken("the model's file has no chat template; use a chat model that brings one")
        return Jinja2ChatFormatter(
            template=self._llama.metadata[_TEMPLATE],
            eos_token=self._token_text(self._llama.token_eos()),
            bos_token=self._token_text(self._llama.token_bos()),
        )

    def _token_text(self, token: int) -> str:
        return self._llama.detokenize([token], special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _adds_bos(self, rendered: str) -> bool:
        bos = self._token_text(self._llama.token_bos())
        return not (bos and rendered.startswith(bos))

    def _deltas(self, request: ChatRequest, prompt: Sequence[int]) -> Generator[ChatDelta, None, None]:
        with self._busy, library_errors(_NAME, "generating"):
            finish_reason: Literal["stop", "length"] = "length"
            visible = _VisibleText(request.stop)
            completion_tokens = 0
            for token in self._tokens(request, prompt):
                if llama_cpp.llama_vocab_is_eog(self._llama._model.vocab, token):
                    finish_reason = "stop"
                    break
                completion_tokens += 1
                text = visible.push(self._llama.detokenize([token], prev_tokens=list(prompt[-1:])))
                if text:
                    yield ChatDelta(text=text)
                if visible.stopped or completion_tokens == request.max_tokens:
                    break
            if rest := visible.rest():
                yield ChatDelta(text=rest)
            yield ChatDelta(
                text="",
                finish_reason="stop" if visible.stopped else finish_reason,
                prompt_tokens=len(prompt),
                completion_tokens=completion_tokens,
            )

    def _tokens(self, request: ChatRequest, prompt: Sequence[int]) -> Iterator[int]:
        grammar = None
        if request.json_schema is not None:
            grammar = LlamaGrammar.from_json_schema(json.dumps(request.json_schema), verbose=False)
        self._llama.set_seed(request.seed)
        return self._llama.generate(list(prompt), temp=request.temperature, grammar=grammar)


class _VisibleText:
    """Turns the bytes of tokens into text, holding back what may become a stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        self._held += self._decoder.decode(piece)
        found = [at for at in (self._held.find(text) for text in self._stop) if at >= 0]
        if found:
            self.stopped = True
            visible, self._held = self._held[: min(found)], ""
            return visible
        kept = max((_overlap(self._held, text) for text in self._stop), default=0)
        visible, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return visible

    def rest(self) -> str:
        return "" if self.stopped else self._held + self._decoder.decode(b"", final=True)


def _overlap(text: str, stop: str) -> int:
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
