"""The Celery tasks of ``core.task_names``: each takes ids or a small query and makes one call."""

from __future__ import annotations

import base64
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import numpy as np

from core import remote, task_names
from core.answers.service import answer_run
from core.celery_app import app
from core.segments.service import space_active
from core.segments.space_spec import space_specs
from gpu_worker import services
from gpu_worker.material import picture_decode
from gpu_worker.step_runner import step_run
from inference.errors import DamagedFile, EngineUnavailable, InferenceError, InputRejected
from inference.values import RgbImage, Vectors

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
    with engines.lease(role="language", priority="interactive", deadline_s=ANSWER_DEADLINE_S) as language_model:
        try:
            answer_run(
                answer_id=answer_id,
                language_model=language_model,
                query_embedder=query_vector,
                sentence_embedder=_sentences_embed,
            )
        except InferenceError as error:
            logger.warning("answer %s failed: %s", answer_id, error)


@app.task(name=task_names.STATUS_REPORT)
def status_report_task(reply_key: str) -> None:
    """Reply with what the engine host reports."""
    _reply(reply_key, services.engines().status)


def query_vector(
    *, role: Literal["text", "image_text"], text: str | None = None, image: bytes | None = None
) -> Sequence[float]:
    """Embed a query for one space.

    Raises:
        InputRejected: There is no query, or its picture cannot be read.
        EngineUnavailable: No engine answered in time.
    """
    _space_check(role)
    engines = services.engines()
    if image is not None:
        if role != "image_text":
            raise InputRejected("a picture is embedded into the space 'image_text' only")
        decoded = _query_picture(image)
        with engines.lease(role="image_text", priority="interactive", deadline_s=QUERY_DEADLINE_S) as pictures:
            return _row(pictures.embed_images([decoded]))
    if not text:
        raise InputRejected("a query has words or a picture")
    with engines.lease(role=role, priority="interactive", deadline_s=QUERY_DEADLINE_S) as embedder:
        return _row(embedder.embed_texts([text]))


def _space_check(role: str) -> None:
    spec = space_specs().get(role)
    if spec is None:
        raise EngineUnavailable(f"this host's profile has no role '{role}'")
    active = space_active(role)
    if active is not None and active.digest != spec.digest:
        raise EngineUnavailable(
            f"the active space '{role}' {active.digest[:12]} was made by other models than this host's "
            f"({spec.digest[:12]}); run './manage.py spaces_ensure --activate' or change the profile"
        )


def _sentences_embed(sentences: Sequence[str]) -> Vectors:
    with services.engines().lease(role="text", priority="interactive", deadline_s=QUERY_DEADLINE_S) as embedder:
        return embedder.embed_texts(sentences)


def _query_picture(content: bytes) -> RgbImage:
    # Nobody's stored file: a sandbox of its own, so that no warm child sees it beside a user's files.
    with tempfile.TemporaryDirectory(prefix="cloister-query-") as folder:
        path = Path(folder) / "query"
        path.write_bytes(content)
        with services.sandboxes().lease(f"query-{uuid4()}") as sandbox:
            info = sandbox.probe(path, name="the query's picture")
            if info.family != "image":
                raise InputRejected(f"the query's picture is a file of type {info.media_type}; send a PNG or a JPEG")
            extraction, artefacts = sandbox.parse(path, info, first_unit=1, last_unit=1, name="the query's picture")
    if not extraction.pictures:
        raise DamagedFile("the query's picture holds no picture")
    return picture_decode(artefacts[extraction.pictures[0].artefact])


def _row(vectors: Vectors) -> list[float]:
    return [float(value) for value in vectors[0]]


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
