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

TASK_NAMES: Final = frozenset({STEP_RUN, QUERY_EMBED, ANSWER_GENERATE, STATUS_REPORT})

QUEUE_INTERACTIVE: Final = "interactive"
QUEUE_BULK: Final = "bulk"
QUEUES: Final = (QUEUE_INTERACTIVE, QUEUE_BULK)
