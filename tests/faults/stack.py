"""The processes of one worker host, started and killed by tests, on the session's PostgreSQL and broker."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from core.access.acting import acting_as_system
from core.access.service import collection_get_or_create
from core.documents.models import Document, DocumentState
from core.jobs.models import Step
from core.jobs.service import PartUpload, document_submit
from core.segments.models import Segment
from core.settings.env import REPOSITORY
from gpu_worker.engine_pool import EnginePool
from gpu_worker.places import engines_socket

Found = TypeVar("Found")

PROGRAMS = {
    "engine-host": ("gpu_worker.engine_host",),
    "worker-bulk": ("gpu_worker.worker", "--queue", "bulk"),
    "worker-interactive": ("gpu_worker.worker", "--queue", "interactive"),
    "reaper": ("gpu_worker.reaper",),
}


def wait_for(what: str, look: Callable[[], Found | None], limit_s: float) -> Found:
    """Look until something is found; a limit, not a pause, decides when to give up."""
    give_up = time.monotonic() + limit_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} did not happen within {limit_s:.0f} s")
        time.sleep(0.02)


class Stack:
    """Engine host, workers and reaper of one host."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.engines = EnginePool(engines_socket(home))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = home / "logs"
        self._logs.mkdir(exist_ok=True)

    def start(self, *names: str) -> None:
        for name in names or tuple(PROGRAMS):
            with (self._logs / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, "-m", *PROGRAMS[name]],
                    cwd=REPOSITORY,
                    env={**os.environ, "CLOISTER_SLOT": name},  # noqa: TID251 - handed on
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def kill(self, name: str) -> None:
        """Send SIGKILL to the process group of a program, as a supervisor's machine failure would."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def freeze(self, name: str) -> None:
        os.killpg(self._running[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.killpg(self._running[name].pid, signal.SIGCONT)

    def stop(self) -> None:
        self.engines.close()
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=10)
        self._running.clear()

    def log(self, name: str) -> str:
        return (self._logs / f"{name}.log").read_text(errors="replace")

    def engine(self, role: str) -> dict[str, Any]:
        """Return the host's report of one role."""
        return next(engine for engine in self.engines.status()["engines"] if engine["role"] == role)


def spaces_make() -> None:
    call_command("spaces_ensure")


def submit(path: Path, *, collection: str, content: bytes | None = None) -> Document:
    """Submit one file as the test user."""
    user, _ = get_user_model().objects.get_or_create(username="ada")
    found = collection_get_or_create(user=user, name=collection)
    chosen = found[0] if isinstance(found, tuple) else found
    document, _ = document_submit(
        user=user,
        collection=chosen,
        parts=[PartUpload(name=path.name, content=content or path.read_bytes())],
        title=path.name,
        path=str(path),
    )
    return document


def ended(document: Document) -> Document | None:
    with acting_as_system():
        fresh = Document.objects.get(pk=document.pk)
    return fresh if fresh.state in (DocumentState.READY, DocumentState.FAILED) else None


def finished(document: Document, limit_s: float) -> Document:
    return wait_for(f"the end of '{document.title}'", lambda: ended(document), limit_s)


def steps_of(document: Document, **wanted: Any) -> list[Step]:
    with acting_as_system():
        return list(Step.objects.filter(job__document=document, **wanted).order_by("stage", "kind", "key"))


def rows_of(document: Document) -> list[tuple[Any, ...]]:
    """Return what the document became: every segment with its vectors, without ids that belong to the document."""
    with acting_as_system():
        segments = list(Segment.objects.filter(document=document).order_by("ordinal"))
        with connection.cursor() as cursor:
            cursor.execute(
                "select segment_id, space_id, embedding::text from segments_embedding where segment_id = any(%s)",
                [[segment.pk for segment in segments]],
            )
            vectors = {(segment_id, space_id): text for segment_id, space_id, text in cursor.fetchall()}
    return [
        (
            segment.ordinal,
            segment.kind,
            hashlib.sha256(segment.text.encode()).hexdigest(),
            segment.anchor,
            segment.heading_path,
            segment.words,
            segment.spans,
            segment.language,
            segment.picture_sha256,
            sorted((space, text) for (segment_id, space), text in vectors.items() if segment_id == segment.pk),
        )
        for segment in segments
    ]
