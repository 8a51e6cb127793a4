"""The typed door through which core asks workers; replies come by a per-request key of the broker."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import functools
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import redis
import redis.asyncio
from django.conf import settings

from core import task_names
from core.celery_app import app
from core.host.paths import home_layout
from core.settings.env import env
from inference.values import Vectors

REPLY_TTL_S = 60

CALL_FILES_LIFE_S = 3600.0
"""After this long a file that was sent with a call belongs to nobody: its sender has died."""

SOCKET_TIMEOUT_S = 120.0
"""Longer than any wait for a reply: the library's default of a few seconds would end the wait for a loading engine."""

HEARTBEAT_LIFE_S = 20
"""A worker that was silent for so long is gone."""
_HEARTBEATS = "cloister:worker:"

LAST_STAGE = 9
HIGHEST_PRIORITY = 0
"""Of the Redis transport, whose numbers run the other way round than AMQP's."""


class WorkerUnavailable(Exception):
    """No worker answered in time; the request may be repeated."""

    code = "worker_unavailable"


class WorkerRefused(Exception):
    """The worker looked at the input and cannot use it; ``code`` is that of the error in inference.errors."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Unit vectors, one row an input, and how many tokens the model read; pictures have none."""

    vectors: Vectors
    tokens: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording to be transcribed.

    Attributes:
        file: Name of the call file with its bytes.
        name: What sentences call it.
        owner: Whose file it is; a sandbox never sees files of two owners.
        task: ``translate`` writes English whatever is spoken.
        language: ISO 639-1 code of what is spoken; None lets the model find out.
        prompt: What was said before, in the words and the style that are expected.
        hot_words: Names and terms that are likely to be said.
        speakers: Tell the speakers apart.
    """

    file: str
    name: str
    owner: str
    task: Literal["transcribe", "translate"] = "transcribe"
    language: str | None = None
    prompt: str = ""
    hot_words: tuple[str, ...] = ()
    speakers: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaptionsPass:
    """One pass of live captions over the sound that a session still keeps.

    Attributes:
        sound: Mono 16 kHz s16le, from where the state keeps it.
        state: What the pass before replied; None for the first.
        language: ISO 639-1 code; None lets the model find out.
        hot_words: Names and terms that are likely to be said.
        is_last: No sound follows.
    """

    sound: bytes
    state: dict[str, Any] | None
    language: str | None
    hot_words: tuple[str, ...]
    is_last: bool


@functools.cache
def broker() -> redis.Redis:
    """Return this process's connection pool to the broker."""
    return redis.Redis.from_url(settings.BROKER_URL, socket_timeout=SOCKET_TIMEOUT_S)


def step_publish(*, step_id: str, stage: int) -> None:
    """Ring the doorbell for one step; the Step row is the truth.

    Later stages go first: of many documents the first ones become searchable while the last ones still wait.
    """
    priority = max(HIGHEST_PRIORITY, LAST_STAGE - stage)
    app.send_task(task_names.STEP_RUN, args=[step_id], queue=task_names.QUEUE_BULK, priority=priority)


def fill_publish(*, batch_id: str) -> None:
    """Ring the doorbell for one batch of a space that is being filled; documents that are being read go first."""
    app.send_task(task_names.SPACE_FILL, args=[batch_id], queue=task_names.QUEUE_BULK, priority=LAST_STAGE)


def answer_publish(*, answer_id: str) -> None:
    """Ask a worker to run one stored question."""
    app.send_task(task_names.ANSWER_GENERATE, args=[answer_id], queue=task_names.QUEUE_INTERACTIVE)


def query_embed(
    *, role: Literal["text", "image_text"], text: str | None = None, image: bytes | None = None, timeout_s: float = 60.0
) -> list[float]:
    """Embed a query for one space.

    Args:
        role: Which engine embeds it.
        text: The query, or None when a picture is given.
        image: Encoded picture (PNG, JPEG ...); it is decoded in a worker's sandbox, never here.
        timeout_s: How long to wait for a worker.

    Returns:
        A unit vector of the role's dimensions.

    Raises:
        WorkerUnavailable: No worker answered within ``timeout_s``.
        WorkerRefused: The picture cannot be read.
    """
    reply_key = f"cloister:reply:{uuid.uuid4().hex}"
    encoded = base64.b64encode(image).decode() if image is not None else None
    app.send_task(task_names.QUERY_EMBED, args=[reply_key, role, text, encoded], queue=task_names.QUEUE_INTERACTIVE)
    reply = _reply(reply_key, timeout_s)
    return [float(x) for x in np.frombuffer(base64.b64decode(reply["vector"]), dtype=np.float32)]


def worker_status(*, timeout_s: float = 2.0) -> dict[str, Any] | None:
    """Return what the engine host reports, or None when no worker answered in time."""
    reply_key = f"cloister:reply:{uuid.uuid4().hex}"
    app.send_task(task_names.STATUS_REPORT, args=[reply_key], queue=task_names.QUEUE_INTERACTIVE, expires=timeout_s)
    try:
        return _reply(reply_key, timeout_s)
    except WorkerUnavailable:
        return None


def worker_heartbeat_write(record: dict[str, Any]) -> None:
    """Keep what a worker says of itself until it should have said it again; ``slot`` names it."""
    broker().set(f"{_HEARTBEATS}{record['slot']}", json.dumps(record), ex=HEARTBEAT_LIFE_S)


def worker_heartbeat_forget(slot: str) -> None:
    """Forget a worker that ends by itself."""
    broker().delete(f"{_HEARTBEATS}{slot}")


def worker_heartbeats() -> list[dict[str, Any]]:
    """Return what every living worker of every host last said of itself, by the name of its slot."""
    keys = sorted(broker().scan_iter(match=f"{_HEARTBEATS}*", count=1000))
    found = broker().mget(keys) if keys else []
    return [json.loads(record) for record in found if record is not None]


def request_reply(task_name: str, arguments: Sequence[Any], *, timeout_s: float) -> dict[str, Any]:
    """Send one request to an interactive worker and wait for what it replies.

    Args:
        task_name: Of core.task_names; its first argument is the key of the reply, which is added here.
        arguments: The rest, plain values only; bytes travel as call files.
        timeout_s: How long to wait; a request that nobody took by then is dropped.

    Raises:
        WorkerUnavailable: No worker answered within ``timeout_s``.
        WorkerRefused: The worker looked at the input and cannot use it, or its engine failed.
    """
    reply_key = f"cloister:reply:{uuid.uuid4().hex}"
    app.send_task(task_name, args=[reply_key, *arguments], queue=task_names.QUEUE_INTERACTIVE, expires=timeout_s)
    return _reply(reply_key, timeout_s)


def texts_embed(*, role: Literal["text", "image_text"], texts: Sequence[str], timeout_s: float = 120.0) -> Embedded:
    """Embed texts; raises as ``request_reply`` does."""
    return _embedded(request_reply(task_names.BATCH_EMBED, [role, list(texts), None], timeout_s=timeout_s))


def pictures_embed(*, files: Sequence[str], owner: str, timeout_s: float = 120.0) -> Embedded:
    """Embed encoded pictures, sent as call files, into ``image_text``; raises as ``request_reply`` does."""
    arguments = ["image_text", None, {"names": list(files), "owner": owner}]
    return _embedded(request_reply(task_names.BATCH_EMBED, arguments, timeout_s=timeout_s))


def space_embed(*, digest: str, texts: Sequence[str], timeout_s: float = 120.0) -> Vectors:
    """Embed queries into the space of a digest, whether it answers searches or not; raises as ``request_reply`` does.

    Returns:
        float32, one unit row a text.
    """
    reply = request_reply(task_names.SPACE_EMBED, [digest, list(texts)], timeout_s=timeout_s)
    flat = np.frombuffer(base64.b64decode(reply["vectors"]), dtype=np.float32)
    return flat.reshape(len(texts), -1)


def passages_score(*, query: str, passages: Sequence[str], timeout_s: float = 120.0) -> tuple[list[float], int]:
    """Score passages with the reranker; returns the scores, higher is better, and the tokens that were read.

    Raises as ``request_reply`` does.
    """
    reply = request_reply(task_names.PASSAGES_SCORE, [query, list(passages)], timeout_s=timeout_s)
    return [float(score) for score in reply["scores"]], int(reply["tokens"])


def tokens_count(texts: Sequence[str], *, timeout_s: float = 60.0) -> list[int]:
    """Count the tokens of texts as the language model reads them; raises as ``request_reply`` does."""
    counts = request_reply(task_names.TOKENS_COUNT, [list(texts)], timeout_s=timeout_s)["tokens"]
    return [int(count) for count in counts]


def recording_transcribe(recording: Recording, *, timeout_s: float = 900.0) -> dict[str, Any]:
    """Transcribe a recording.

    Returns:
        ``language``, ``duration_s`` and ``turns``: each with text, start_s, end_s, speaker (None unless asked for) and
        words of [text, start_s, end_s, probability].

    Raises:
        WorkerUnavailable: No worker answered in time.
        WorkerRefused: The recording cannot be read.
    """
    arguments = [dataclasses.asdict(recording)]
    return request_reply(task_names.RECORDING_TRANSCRIBE, arguments, timeout_s=timeout_s)


async def captions_hear(
    client: redis.asyncio.Redis, wanted: CaptionsPass, *, timeout_s: float = 60.0
) -> dict[str, Any]:
    """Have a worker run one pass of live captions.

    Args:
        client: Of the calling session, in protocol 2.
        wanted: The pass.
        timeout_s: How long to wait.

    Returns:
        ``state`` for the next pass, ``keep_from_s`` and ``heard_until_s``, ``confirmed`` and ``partial`` words of
        (text, start_s, end_s), and ``language``.

    Raises:
        WorkerUnavailable: No worker answered in time.
        WorkerRefused: The worker cannot hear this, such as a language that its model does not know.
    """
    sound_key, reply_key = (f"cloister:{kind}:{uuid.uuid4().hex}" for kind in ("sound", "reply"))
    await client.set(sound_key, wanted.sound, ex=REPLY_TTL_S)
    request = {
        "sound_key": sound_key,
        "state": wanted.state,
        "language": wanted.language,
        "hot_words": wanted.hot_words,
        "is_last": wanted.is_last,
    }
    send = functools.partial(app.send_task, queue=task_names.QUEUE_INTERACTIVE, expires=timeout_s)
    await asyncio.to_thread(send, task_names.CAPTIONS_HEAR, args=[reply_key, request])
    return _answer(await client.blpop([reply_key], timeout=timeout_s), timeout_s)


@contextlib.contextmanager
def call_files(contents: Sequence[bytes | IO[bytes]]) -> Iterator[list[str]]:
    """Put bytes where workers find them for the time of one call; yields their names.

    They lie in CLOISTER_HOME, which all hosts share, and not in the broker, whose memory is everybody's.
    """
    folder = _calls_folder()
    _old_files_remove(folder)
    names = [uuid.uuid4().hex for _ in contents]
    try:
        for name, content in zip(names, contents, strict=True):
            _call_file_write(folder / name, content)
        yield names
    finally:
        for name in names:
            (folder / name).unlink(missing_ok=True)


def call_file(name: str) -> Path:
    """Return the path of a call file.

    Raises:
        ValueError: That is no name that ``call_files`` gives.
    """
    return _calls_folder() / uuid.UUID(hex=name).hex


def _calls_folder() -> Path:
    folder = home_layout(env().home_path).run / "calls"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _call_file_write(path: Path, content: bytes | IO[bytes]) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    with path.open("wb") as opened:
        shutil.copyfileobj(content, opened)


def _old_files_remove(folder: Path) -> None:
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - CALL_FILES_LIFE_S:
                path.unlink()


def _embedded(reply: dict[str, Any]) -> Embedded:
    flat = np.frombuffer(base64.b64decode(reply["vectors"]), dtype="<f4")
    return Embedded(vectors=flat.reshape(-1, int(reply["dimensions"])), tokens=int(reply["tokens"]))


def _reply(reply_key: str, timeout_s: float) -> dict[str, Any]:
    return _answer(broker().blpop([reply_key], timeout=timeout_s), timeout_s)


def _answer(popped: Any, timeout_s: float) -> dict[str, Any]:
    if popped is None:
        raise WorkerUnavailable(f"no worker answered within {timeout_s:.0f} s; look at './cloister status'")
    reply: dict[str, Any] = json.loads(popped[1])
    if "error" in reply:
        raise WorkerRefused(reply["error"]["code"], reply["error"]["message"])
    return reply
