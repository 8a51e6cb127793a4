"""The Celery tasks of ``core.task_names``: each takes ids or a small query and makes one call."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast
from uuid import UUID, uuid4

import numpy as np

from core import remote, task_names
from core.answers.run import Engines, answer_run
from core.answers.stream import stop_reason
from core.celery_app import app
from core.chat_stream import ChatCall
from core.remote import Recording
from gpu_worker import services
from gpu_worker.calls.captions import captions_hear
from gpu_worker.calls.chat import chat_run
from gpu_worker.calls.counting import language_tokens
from gpu_worker.calls.embedding import batch_embed, passages_score
from gpu_worker.calls.picture_question import picture_ask
from gpu_worker.calls.pictures import picture_of_bytes
from gpu_worker.calls.sentences import sentences_embed
from gpu_worker.calls.transcription import recording_transcribe
from gpu_worker.space_fill import fill_run
from gpu_worker.space_queries import role_serving, space_queries_embed
from gpu_worker.step_runner import step_run
from inference.errors import InferenceError, InputRejected
from inference.values import Vectors

logger = logging.getLogger(__name__)

QUERY_DEADLINE_S = 60.0
ANSWER_DEADLINE_S = 300.0


@app.task(name=task_names.STEP_RUN)
def step_run_task(step_id: str) -> None:
    """Lease and run one step."""
    step_run(step_id=UUID(step_id), owner=services.slot(), engines=services.engines(), sandboxes=services.sandboxes())


@app.task(name=task_names.QUERY_EMBED)
def query_embed_task(
    reply_key: str, role: Literal["text", "image_text"], text: str | None, image_base64: str | None
) -> None:
    """Embed one query and reply with its vector."""
    image = base64.b64decode(image_base64) if image_base64 is not None else None
    _reply(reply_key, lambda: _vector_json(query_vector(role=role, text=text, image=image)))


@app.task(name=task_names.ANSWER_GENERATE)
def answer_generate_task(answer_id: str) -> None:
    """Answer one stored question; an error is stored with the answer and shown to its reader."""
    engines = services.engines()
    with engines.lease(
        role="language",
        priority="interactive",
        deadline_s=ANSWER_DEADLINE_S,
        stopped=lambda: stop_reason(answer_id) is not None,
    ) as language_model:
        try:
            answer_run(
                answer_id=answer_id,
                engines=Engines(
                    language_model=language_model,
                    query_embedder=query_vector,
                    sentence_embedder=sentences_embed,
                    picture_answerer=picture_ask,
                ),
            )
        except InferenceError as error:
            logger.warning("answer %s failed: %s", answer_id, error)


@app.task(name=task_names.STATUS_REPORT)
def status_report_task(reply_key: str) -> None:
    """Reply with what the engine host reports, and with the heartbeats of all workers."""
    _reply(reply_key, lambda: {**services.engines().status(), "workers": remote.worker_heartbeats()})


@app.task(name=task_names.BATCH_EMBED)
def batch_embed_task(
    reply_key: str,
    role: Literal["text", "image_text"],
    texts: Sequence[str] | None,
    pictures: Mapping[str, Any] | None,
) -> None:
    """Embed texts or pictures and reply with their vectors."""
    _reply(reply_key, lambda: batch_embed(role=role, texts=texts, pictures=pictures))


@app.task(name=task_names.PASSAGES_SCORE)
def passages_score_task(reply_key: str, query: str, passages: Sequence[str]) -> None:
    """Score passages and reply with the scores."""
    _reply(reply_key, lambda: passages_score(query=query, passages=passages))


@app.task(name=task_names.TOKENS_COUNT)
def tokens_count_task(reply_key: str, texts: Sequence[str]) -> None:
    """Count tokens and reply with the numbers."""
    _reply(reply_key, lambda: {"tokens": language_tokens(texts)})


@app.task(name=task_names.RECORDING_TRANSCRIBE)
def recording_transcribe_task(reply_key: str, request: dict[str, Any]) -> None:
    """Transcribe a recording and reply with its turns."""
    _reply(reply_key, lambda: recording_transcribe(Recording(**request)))


@app.task(name=task_names.CAPTIONS_HEAR)
def captions_hear_task(reply_key: str, request: dict[str, Any]) -> None:
    """Run one pass of live captions and reply with the words that became final."""
    _reply(reply_key, lambda: captions_hear(request))


@app.task(name=task_names.CHAT_GENERATE)
def chat_generate_task(chat_id: str, request: dict[str, Any]) -> None:
    """Answer one chat; its pieces go to the broker's stream."""
    chat_run(chat_id=chat_id, call=ChatCall.from_json(request))


@app.task(name=task_names.SPACE_FILL)
def space_fill_task(batch_id: str) -> None:
    """Lease and run one batch of a space that is being filled."""
    fill_run(batch_id=UUID(batch_id), owner=services.slot(), engines=services.engines())


@app.task(name=task_names.SPACE_EMBED)
def space_embed_task(reply_key: str, digest: str, texts: Sequence[str]) -> None:
    """Embed queries into one space and reply with their vectors."""
    _reply(reply_key, lambda: {"vectors": _base64(space_queries_embed(digest=digest, texts=texts))})


def query_vector(
    *, role: Literal["text", "image_text"], text: str | None = None, image: bytes | None = None
) -> Sequence[float]:
    """Embed a query for one space.

    Raises:
        InputRejected: There is no query, or its picture cannot be read.
        EngineUnavailable: No engine answered in time.
    """
    serving = role_serving(role)
    engines = services.engines()
    if image is not None:
        if role != "image_text":
            raise InputRejected("a picture is embedded into the space 'image_text' only")
        # Nobody's stored file: a sandbox of its own, so that no warm child sees it beside a user's files.
        decoded = picture_of_bytes(image, owner=f"query-{uuid4()}", name="the query's picture")
        with engines.lease(
            role=cast(Literal["image_text"], serving), priority="interactive", deadline_s=QUERY_DEADLINE_S
        ) as pictures:
            return _row(pictures.embed_images([decoded]))
    if not text:
        raise InputRejected("a query has words or a picture")
    with engines.lease(
        role=cast(Literal["text"], serving), priority="interactive", deadline_s=QUERY_DEADLINE_S
    ) as embedder:
        return _row(embedder.embed_texts([text]))


def _row(vectors: Vectors) -> list[float]:
    return [float(value) for value in vectors[0]]


def _base64(vectors: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(vectors, dtype=np.float32).tobytes()).decode()


def _vector_json(vector: Sequence[float]) -> dict[str, Any]:
    return {"vector": base64.b64encode(np.asarray(vector, dtype=np.float32).tobytes()).decode()}


def _reply(reply_key: str, work: Callable[[], dict[str, Any]]) -> None:
    try:
        reply = work()
    except InferenceError as error:
        reply = {"error": {"code": error.code, "message": str(error)}}
    except Exception as error:  # the worker's boundary: whoever waits for the reply gets a sentence
        logger.exception("a request of the web process failed")
        reply = {"error": {"code": "internal_error", "message": f"{type(error).__name__}: {error}"}}
    with remote.broker().pipeline() as pipeline:
        pipeline.lpush(reply_key, json.dumps(reply))
        pipeline.expire(reply_key, remote.REPLY_TTL_S)
        pipeline.execute()
