"""The processes of one worker host, started and killed by tests, on the session's PostgreSQL and broker."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from core.access.acting import acting_as_system
from core.access.service import collection_get_or_create
from core.documents.models import Document, DocumentState
from core.jobs.models import Step, StepState
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
            self.start_as(name, slot=name)

    def start_as(self, name: str, *, slot: str) -> None:
        """Start a program in a slot of another name, as on another host."""
        with (self._logs / f"{slot}.log").open("ab") as log:
            self._running[slot] = subprocess.Popen(
                [sys.executable, "-m", *PROGRAMS[name]],
                cwd=REPOSITORY,
                env={**os.environ, "CLOISTER_SLOT": slot},  # noqa: TID251 - handed on
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
    call_command("spaces_ensure", "--activate")


def submit(name: str, content: bytes, *, collection: str) -> Document:
    """Submit one file as the test user."""
    user, _ = get_user_model().objects.get_or_create(username="ada")
    document, _ = document_submit(
        user=user,
        collection=collection_get_or_create(user=user, name=collection),
        parts=[PartUpload(name=name, content=content)],
    )
    return document


def ended(document: Document) -> Document | None:
    with acting_as_system():
        fresh = Document.objects.get(pk=document.pk)
    return fresh if fresh.state in (DocumentState.READY, DocumentState.FAILED) else None


def finished(document: Document, limit_s: float) -> Document:
    return wait_for(f"the end of '{document.title}'", lambda: ended(document), limit_s)


def leased(document: Document, kind: str) -> Step | None:
    """Return a step of that kind that somebody holds at this moment."""
    with acting_as_system():
        return Step.objects.filter(job__document=document, kind=kind, state=StepState.LEASED).first()


def attempts_of(step: Step) -> int:
    with acting_as_system():
        return Step.objects.get(pk=step.pk).attempts


def steps_of(document: Document, **wanted: Any) -> list[Step]:
    with acting_as_system():
        return list(Step.objects.filter(job__document=document, **wanted).order_by("stage", "kind", "key"))


@dataclasses.dataclass(frozen=True)
class Row:
    """One segment with its vectors, without the ids that belong to its document."""

    ordinal: int
    kind: str
    text_sha256: str
    anchor: dict[str, Any]
    heading_path: list[str]
    words: list[Any] | None
    spans: list[Any]
    language: str
    picture_sha256: str
    vectors: dict[int, npt.NDArray[np.float32]] = dataclasses.field(compare=False)


def rows_of(document: Document) -> list[Row]:
    """Return what the document became."""
    with acting_as_system():
        segments = list(Segment.objects.filter(document=document).order_by("ordinal"))
        with connection.cursor() as cursor:
            cursor.execute(
                "select segment_id, space_id, embedding::text from segments_embedding where segment_id = any(%s)",
                [[segment.pk for segment in segments]],
            )
            vectors: dict[UUID, dict[int, npt.NDArray[np.float32]]] = {}
            for segment_id, space_id, text in cursor.fetchall():
                vectors.setdefault(segment_id, {})[space_id] = np.array(json.loads(text), dtype=np.float32)
    return [
        Row(
            ordinal=segment.ordinal,
            kind=segment.kind,
            text_sha256=hashlib.sha256(segment.text.encode()).hexdigest(),
            anchor=segment.anchor,
            heading_path=segment.heading_path,
            words=segment.words,
            spans=segment.spans,
            language=segment.language,
            picture_sha256=segment.picture_sha256,
            vectors=vectors.get(segment.pk, {}),
        )
        for segment in segments
    ]
