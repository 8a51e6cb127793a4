"""A GGUF chat model on llama.cpp's server inside this process: continuous batching and prompt cache, no TCP port."""

from __future__ import annotations

import array
import collections
import contextlib
import ctypes
import json
import queue
import shutil
import signal
import tempfile
import threading
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx
import xllamacpp

from inference.errors import ContextOverflow, EngineBroken, InputRejected
from inference.preprocessing.chat import context_check, gguf_path, messages_inert
from inference.preprocessing.library_errors import library_errors
from inference.values import ChatDelta, ChatMessage, ChatRequest

_NAME = "llama_server"
_ALL_LAYERS = 999
_SOCKET_PATH_BYTES = 107
_SIGACTION_BYTES = 512
_PROMPT_BATCH_TOKENS = 256
_TOKENIZE_TIMEOUT_S = 60.0
_CACHE_MODES = ("shared_beginning", "turns", "off")
_REMEMBERED_PROMPTS = 1024
"""More than the cache holds: of a small model it is a few hundred short prompts."""


class LlamaServerModel:
    """A chat model with ``slots`` sequences generated side by side.

    Prompts and answers go through the server's in-process handlers. Tokenizing and the chat template are only offered
    over HTTP, so the server listens on a unix socket in a folder of mode 0700.

    The same request must give the same text, so flash attention is off (with it 3 of 8 greedy answers changed with a
    cached prompt), and the prompt cache is used only where it leaves every probability as it was: see ``_CacheGuard``.

    Options:
        context_tokens: Window of each sequence.
        slots: Sequences generated at the same time; further requests wait.
        prompt_cache: ``shared_beginning`` (the default) computes once what two prompts begin with; ``turns`` also keeps
            what was generated, which makes a conversation's next turn quicker, but an answer may then differ from the
            one that the same request got before; ``off``.
        prompt_cache_mib: Memory for cached prompts whose slot was taken by another request.
    """

    recipe_version = "2"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        chosen: dict[str, Any] = {
            "context_tokens": 2048,
            "slots": 4,
            "prompt_cache": "shared_beginning",
            "prompt_cache_mib": 256,
        } | dict(options or {})
        self.context_tokens = int(chosen.pop("context_tokens"))
        self._guard = _CacheGuard(chosen.pop("prompt_cache"))
        slots, prompt_cache_mib = int(chosen.pop("slots")), int(chosen.pop("prompt_cache_mib"))
        if chosen:
            raise InputRejected(
                f"{_NAME} does not know the options {sorted(chosen)}; it knows context_tokens, slots,"
                " prompt_cache and prompt_cache_mib"
            )
        folder = Path(tempfile.mkdtemp(prefix="cloister-llama-"))
        self._remove_folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        socket = folder / "s.sock"
        if len(str(socket).encode()) > _SOCKET_PATH_BYTES:
            raise EngineBroken(
                f"{socket} is longer than the {_SOCKET_PATH_BYTES} bytes of a socket path; set TMPDIR to a shorter one"
            )
        parameters = _parameters(gguf_path(folders[0]), socket, threads, device)
        parameters.n_ctx = self.context_tokens * slots
        parameters.n_parallel = slots
        parameters.cache_ram_mib = 0 if self._guard.mode == "off" else prompt_cache_mib
        with library_errors(_NAME, f"loading {folders[0]}"), _signal_handlers_kept():
            self._server = xllamacpp.Server(parameters)
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)),
            base_url="http://llama-server",
            timeout=_TOKENIZE_TIMEOUT_S,
            trust_env=False,
        )

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer; closing the iterator ends generation within one token."""
        prompt = self.prompt_token_ids(request.messages)
        context_check(len(prompt), request.max_tokens, self.context_tokens)
        return self._deltas(_body(request, prompt, cached=self._guard.may_reuse(prompt)))

    def count_tokens(self, batch: Sequence[str]) -> Sequence[int]:
        """Count the tokens of each text, without special tokens."""
        with library_errors(_NAME, f"counting the tokens of {len(batch)} texts"):
            return [len(self._tokens(text, special=False)) for text in batch]

    def prompt_token_ids(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Return the token ids that the chat template makes of a conversation."""
        with library_errors(_NAME, "applying the chat template"):
            rendered = self._post("/apply-template", {"messages": messages_inert(messages)})
            return self._tokens(rendered["prompt"], special=True)

    def close(self) -> None:
        """End the server and give its memory back; generations under way end first."""
        self._http.close()
        del self._server
        self._remove_folder()

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        clean = text.encode("utf-8", "replace").decode("utf-8")
        found: list[int] = self._post(
            "/tokenize", {"content": clean, "add_special": special, "parse_special": special}
        )["tokens"]
        return found

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        response = self._http.post(path, json=body)
        if response.is_error:
            raise EngineBroken(f"{_NAME} refused {path}: {response.text[:500]}")
        return response.json()

    def _deltas(self, body: str) -> Generator[ChatDelta, None, None]:
        run = _Run(self._server, body)
        finish_reason: Literal["stop", "length"] = "stop"
        try:
            for chunk in run.chunks():
                if "prompt_progress" in chunk:
                    # Nothing is said yet, but whoever waits can end the reading of a long prompt here.
                    yield ChatDelta(text="")
                for choice in chunk.get("choices", ()):
                    if choice["text"]:
                        yield ChatDelta(text=choice["text"])
                    if choice["finish_reason"] == "length":
                        finish_reason = "length"
                if usage := chunk.get("usage"):
                    yield ChatDelta(
                        text="",
                        finish_reason=finish_reason,
                        prompt_tokens=usage["prompt_tokens"],
                        completion_tokens=usage["completion_tokens"],
                        cached_tokens=usage["prompt_tokens_details"]["cached_tokens"],
                    )
        finally:
            run.end()


class _CacheGuard:
    """Decides for each prompt whether what is cached may be reused.

    Measured on the CPU: where two prompts part at least two tokens before the end of the new one, all probabilities
    are equal to the bit with and without the cache. They differ where only the last token is computed anew (the library
    takes another kernel for a single row) and where tokens that were generated one by one stand for a part of the
    prompt. Both happen only when one prompt begins with another one, up to its last token.
    """

    def __init__(self, mode: str) -> None:
        if mode not in _CACHE_MODES:
            raise InputRejected(f"prompt_cache is '{mode}'; it must be one of {', '.join(_CACHE_MODES)}")
        self.mode = mode
        self._recent: collections.deque[bytes] = collections.deque(maxlen=_REMEMBERED_PROMPTS)
        self._lock = threading.Lock()

    def may_reuse(self, prompt: Sequence[int]) -> bool:
        """Remember a prompt, and tell whether it may be computed from what is cached."""
        if self.mode != "shared_beginning":
            return self.mode == "turns"
        key = array.array("i", prompt).tobytes()
        without_last = key[: -array.array("i").itemsize]
        with self._lock:
            nested = any(key.startswith(other) or other.startswith(without_last) for other in self._recent)
            self._recent.append(key)
        return not nested


class _Run:
    """One generation: the handler blocks a thread of its own, which hands every chunk over."""

    def __init__(self, server: xllamacpp.Server, body: str) -> None:
        self._chunks: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(server, body), name="llama-generation", daemon=True)
        self._thread.start()

    def chunks(self) -> Iterator[dict[str, Any]]:
        while (chunk := self._chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise EngineBroken(f"{_NAME} failed while generating: {chunk}") from chunk
            if "error" in chunk:
                raise _error(chunk["error"])
            yield chunk

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self, server: xllamacpp.Server, body: str) -> None:
        try:
            server.handle_completions(body, self._receive)
        except BaseException as error:  # noqa: BLE001 - the boundary of a thread: the reader raises it
            self._chunks.put(error)
        else:
            self._chunks.put(None)

    def _receive(self, chunk: str) -> bool:
        # True tells the handler to stop; prompt progress comes here too, so that a long prompt can be ended as well.
        if not self._ended.is_set():
            self._chunks.put(json.loads(chunk))
        return self._ended.is_set()


def _body(request: ChatRequest, prompt: Sequence[int], *, cached: bool) -> str:
    body: dict[str, Any] = {
        "prompt": list(prompt),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "stop": list(request.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": cached,
    }
    if request.json_schema is not None:
        body["json_schema"] = request.json_schema
    return json.dumps(body)


def _parameters(model: Path, socket: Path, threads: int, device: str) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.hostnames = [str(socket)]
    parameters.n_threads_http = 2
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = 0
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.n_batch = _PROMPT_BATCH_TOKENS
    parameters.n_ubatch = _PROMPT_BATCH_TOKENS
    parameters.fit_params = False
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    kind, _, number = device.partition(":")
    parameters.n_gpu_layers = 0 if kind == "cpu" else _ALL_LAYERS
    parameters.main_gpu = int(number or 0)
    return parameters


@contextlib.contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    # The server takes over SIGINT and SIGTERM of the whole process and would only end its own loop at them. The C
    # library's structure is copied as opaque bytes: Python's signal module works in the main thread only.
    libc = ctypes.CDLL(None)
    before = {number: ctypes.create_string_buffer(_SIGACTION_BYTES) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, action in before.items():
        libc.sigaction(int(number), None, action)
    try:
        yield
    finally:
        for number, action in before.items():
            libc.sigaction(int(number), action, None)


def _error(error: Mapping[str, Any]) -> ContextOverflow | EngineBroken:
    message = f"{_NAME}: {error.get('message', error)}"
    return ContextOverflow(message) if error.get("type") == "exceed_context_size_error" else EngineBroken(message)
