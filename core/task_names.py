"""Task names and queues, so that core can send work without importing the worker."""

from __future__ import annotations

from typing import Final

STEP_RUN: Final = "cloister.step_run"
"""(step_id: str) Lease and run one step; the message is only a doorbell."""

QUERY_EMBED: Final = "cloister.query_embed"
"""(reply_key: str, role: str, text: str | None, image_base64: str | None) Embed a query for one space."""

ANSWER_GENERATE: Final = "cloister.answer_generate"
"""(answer_id: str) Retrieve, decide, generate, attribute and store one answer; events go to its broker stream."""

STATUS_REPORT: Final = "cloister.status_report"
"""(reply_key: str) Report the loaded engines and their memory."""

BATCH_EMBED: Final = "cloister.batch_embed"
"""(reply_key: str, role: str, texts: list[str] | None, pictures: dict | None) Embed texts, or pictures by call file."""

PASSAGES_SCORE: Final = "cloister.passages_score"
"""(reply_key: str, query: str, passages: list[str]) Score passages with the reranker."""

TOKENS_COUNT: Final = "cloister.tokens_count"
"""(reply_key: str, texts: list[str]) Count tokens as the language model reads them."""

RECORDING_TRANSCRIBE: Final = "cloister.recording_transcribe"
"""(reply_key: str, request: dict) Transcribe or translate a recording sent with the call; core.remote.Recording."""

CAPTIONS_HEAR: Final = "cloister.captions_hear"
"""(reply_key: str, request: dict) Run one pass of live captions over the kept sound; core.remote.CaptionsPass."""

CHAT_GENERATE: Final = "cloister.chat_generate"
"""(chat_id: str, request: dict) Answer a chat; pieces go to its broker stream; core.chat_stream.ChatCall."""

SPACE_FILL: Final = "cloister.space_fill"
"""(batch_id: str) Lease and embed one batch of a space that is being filled; the message is only a doorbell."""

SPACE_EMBED: Final = "cloister.space_embed"
"""(reply_key: str, digest: str, texts: list[str]) Embed queries into the space of a digest, active or not."""

TASK_NAMES: Final = frozenset(
    {
        STEP_RUN,
        QUERY_EMBED,
        ANSWER_GENERATE,
        STATUS_REPORT,
        BATCH_EMBED,
        PASSAGES_SCORE,
        TOKENS_COUNT,
        RECORDING_TRANSCRIBE,
        CAPTIONS_HEAR,
        CHAT_GENERATE,
        SPACE_FILL,
        SPACE_EMBED,
    }
)

QUEUE_INTERACTIVE: Final = "interactive"
QUEUE_BULK: Final = "bulk"
QUEUES: Final = (QUEUE_INTERACTIVE, QUEUE_BULK)
