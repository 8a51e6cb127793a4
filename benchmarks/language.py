"""Does the language role cost more than the library behind it, and do its batching and its prompt cache pay?

The running stack's engine is measured as tasks use it, through the engine host. Its peers: the raw server of xllamacpp,
with the same settings and in a process of its own, and four chats one after another on llama-cpp-python.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.anchor import anchor
from benchmarks.perplexity import (
    fixed_text,
    logprobs_of_llama_cpp,
    logprobs_of_llama_server,
    perplexity,
    windows,
)
from benchmarks.report import Figure, figure_of_runs, report
from benchmarks.stack import stack_up
from core.settings.env import REPOSITORY, env
from core.settings.profile import profile
from inference.values import ChatDelta, ChatMessage, ChatRequest
from models_local.catalog import catalog_read
from models_local.store import Store

ROUNDS = 5
CHATS = 4
ANSWER_TOKENS = 96
FIRST_TOKENS = 2

QUESTIONS = (
    "Explain in a few sentences how a bridge carries its load.",
    "Describe what a librarian does on an ordinary day.",
    "Write about the sea and its tides.",
    "Explain how a steam engine turns heat into motion.",
)


def sources(seed: int) -> str:
    """Return the sources of a question about documents: about 700 tokens, other ones for each seed."""
    lines = (
        f"[{n}] Ferry {seed * 31 + n} leaves at {n % 12} from pier {n * 7 % 9}; dogs pay {n + seed} euros."
        for n in range(1, 26)
    )
    return "Sources:\n" + "\n".join(lines)


def chat(text: str, *, max_tokens: int) -> ChatRequest:
    """Return a request of one question."""
    system = ChatMessage(role="system", content="Answer from the sources, in one sentence.")
    return ChatRequest(messages=(system, ChatMessage(role="user", content=text)), max_tokens=max_tokens)


class RawServer:
    """xllamacpp's server with the engine's settings, called as its library is: no engine, no socket of ours."""

    def __init__(self, model: Path, *, threads: int, options: dict[str, Any]) -> None:
        from inference.engines.language_llama_server import LlamaServerModel

        # The engine class only starts it with the same parameters and makes the prompt's tokens beforehand.
        self._engine = LlamaServerModel([model.parent], threads=threads, options=options)
        self.server = self._engine._server

    def tokens(self, request: ChatRequest) -> list[int]:
        """Return the prompt of a request."""
        return list(self._engine.prompt_token_ids(request.messages))

    def text_tokens(self, text: str) -> list[int]:
        """Return the tokens of a plain text."""
        return self._engine._tokens(text, special=False)

    def run(self, prompt: Sequence[int], max_tokens: int) -> tuple[float, float, int, str]:
        """Return seconds to the first text, seconds in all, tokens written, and the text."""
        body = {
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": False,
        }
        begun_s = time.perf_counter()
        first_s, written, texts = 0.0, 0, []

        def receive(text: str) -> bool:
            nonlocal first_s, written
            chunk = json.loads(text)
            for choice in chunk.get("choices", ()):
                if choice["text"]:
                    first_s = first_s or time.perf_counter() - begun_s
                    texts.append(choice["text"])
            if usage := chunk.get("usage"):
                written = usage["completion_tokens"]
            return False

        self.server.handle_completions(json.dumps(body), receive)
        return first_s, time.perf_counter() - begun_s, written, "".join(texts)


def raw_process(model: Path, threads: int, options: dict[str, Any], door: Connection) -> None:
    """Serve the peer in a process of its own, as the engine has one."""
    raw = RawServer(model, threads=threads, options=options)
    door.send("ready")
    for request in iter(door.recv, None):
        door.send(raw.run(raw.tokens(request), request.max_tokens))


def timed(deltas: Iterator[ChatDelta], begun_s: float) -> tuple[float, float, int, str]:
    """Return seconds to the first text, seconds in all, tokens written, and the text."""
    first_s, written, texts = 0.0, 0, []
    for delta in deltas:
        if delta.text:
            first_s = first_s or time.perf_counter() - begun_s
            texts.append(delta.text)
        written = delta.completion_tokens or written
    return first_s, time.perf_counter() - begun_s, written, "".join(texts)


def ours(request: ChatRequest) -> tuple[float, float, int, str]:
    """Run a request through the engine host, as every task does."""
    from gpu_worker.services import engines

    with engines().lease(role="language", priority="interactive") as model:
        begun_s = time.perf_counter()
        return timed(model.generate(request), begun_s)


def speed_and_first_token(model: Path, threads: int, options: dict[str, Any]) -> list[Figure]:
    """Compare the engine host with the raw server, turn by turn on fresh prompts."""
    there, here = multiprocessing.get_context("spawn").Pipe()
    peer = multiprocessing.get_context("spawn").Process(target=raw_process, args=(model, threads, options, here))
    peer.start()
    there.recv()

    def raw(request: ChatRequest) -> tuple[float, float, int, str]:
        there.send(request)
        answer: tuple[float, float, int, str] = there.recv()
        return answer

    ratios, added_ms, same = [], [], 0
    for number in range(-1, ROUNDS):
        long = chat(f"{QUESTIONS[number % len(QUESTIONS)]} ({number})", max_tokens=ANSWER_TOKENS)
        theirs, mine = raw(long), ours(long)
        short = chat(f"{sources(number)}\nQuestion: When does it leave?", max_tokens=FIRST_TOKENS)
        first = ours(short)[0] - raw(short)[0]
        if number < 0:
            continue  # the first round warms both up
        ratios.append((mine[2] / (mine[1] - mine[0])) / (theirs[2] / (theirs[1] - theirs[0])))
        added_ms.append(first * 1000)
        same += mine[3] == theirs[3]
    there.send(None)
    peer.join()
    quality = {"equal texts": f"{same} of {ROUNDS}"}
    return [
        figure_of_runs("language: tokens/s / raw xllamacpp", ratios, goal=0.97, quality=quality, anchor=anchor()),
        figure_of_runs(
            "language: added time to first token",
            added_ms,
            unit="ms",
            goal=15,
            better="lower",
            quality=quality,
            anchor=anchor(),
        ),
    ]


def warm_prefix() -> Figure:
    """Ask a second question about sources that were just read."""
    ratios, cached = [], []
    for number in range(100, 100 + ROUNDS):
        cold = ours(chat(f"{sources(number)}\nQuestion: When does it leave?", max_tokens=FIRST_TOKENS))
        warm = ours(chat(f"{sources(number)}\nQuestion: What do dogs pay there?", max_tokens=FIRST_TOKENS))
        ratios.append(warm[0] / cold[0])
        cached.append(warm[0])
    quality = {"answers": "equal with and without the cache (tests/engines)"}
    return figure_of_runs(
        "language: warm RAG prefix / cold, time to first token",
        ratios,
        digits=3,
        goal=0.2,
        better="lower",
        quality=quality,
        anchor=anchor(),
    )


def four_chats(model: Path, threads: int) -> Figure:
    """Run four chats at once here, and one after another on llama-cpp-python with the same threads."""
    from inference.engines.language_llama_cpp import LlamaCppModel

    peer = LlamaCppModel([model.parent], threads=threads)
    ratios, written = [], []
    try:
        for number in range(ROUNDS):
            asked = [chat(f"{one} [{number}]", max_tokens=ANSWER_TOKENS) for one in QUESTIONS]
            begun_s = time.perf_counter()
            one_by_one = [timed(peer.generate(one), time.perf_counter())[2] for one in asked]
            alone_s = time.perf_counter() - begun_s
            begun_s = time.perf_counter()
            with ThreadPoolExecutor(CHATS) as pool:
                at_once = [one[2] for one in pool.map(ours, asked)]
            ratios.append((sum(at_once) / (time.perf_counter() - begun_s)) / (sum(one_by_one) / alone_s))
            written.append(sum(at_once) / sum(one_by_one))
    finally:
        peer.close()
    return figure_of_runs(
        "language: 4 chats at once / one after another on llama-cpp-python, tokens/s",
        ratios,
        goal=2.0,
        quality={"tokens written here / there": round(statistics.median(written), 2)},
        anchor=anchor(),
    )


def same_perplexity(model: Path, threads: int, options: dict[str, Any]) -> Figure:
    """Compare how well both engines predict one text."""
    raw = RawServer(model, threads=threads, options={**options, "prompt_cache": "turns"})
    pieces = windows(raw.text_tokens(fixed_text()))
    served = perplexity(logprobs_of_llama_server(raw.server, pieces, slots=int(options["slots"])))
    alone = perplexity(logprobs_of_llama_cpp(model, pieces, threads=threads))
    return Figure(
        name="language: perplexity apart, llama_server and llama_cpp",
        value=round(abs(served / alone - 1) * 100, 3),
        unit="%",
        goal=2,
        better="lower",
        quality={"llama_server": round(served, 3), "llama_cpp": round(alone, 3)},
        anchor=anchor(),
    )


def main() -> None:
    """Measure, print and store."""
    stack_up()
    role = profile().roles["language"]
    store = Store(env().weights, catalog_read(REPOSITORY / "configs" / "models.toml"))
    model = store.folder(role.models[0]) / "model.gguf"
    options = dict(role.options)
    figures = [
        *speed_and_first_token(model, role.threads, options),
        warm_prefix(),
        four_chats(model, role.threads),
        same_perplexity(model, role.threads, options),
    ]
    print(json.dumps(report("language", figures, engine=role.engine, models=list(role.models)), default=str))


if __name__ == "__main__":
    main()
