"""A worker or an engine that is killed in the middle of a step costs time and nothing else."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from core.access.acting import acting_as_system
from core.documents.models import Document
from core.jobs.models import Step
from core.segments.models import Segment
from core.segments.service import segment_id
from core.settings.env import REPOSITORY
from tests.faults.stack import (
    Row,
    Stack,
    attempts_of,
    finished,
    leased,
    rows_of,
    steps_of,
    submit,
    wait_for,
)

SAMPLES = REPOSITORY / "configs" / "samples"
RESUME_S = 60.0
INGEST_S = 300.0
HALF_PRECISION_STEP = 2.0**-11
"""Vectors are stored with half precision; values below 1 are at most this far apart."""

pytestmark = [pytest.mark.faults, pytest.mark.weights, pytest.mark.services]


def long_text() -> bytes:
    """Return a text of so many sections that embedding and writing it takes a while."""
    berths = [
        f"# Berth {n}\n\nBerth {n} has {3 + n % 7} bollards; its keeper logged ship number {n * 37 % 1009} at dawn."
        for n in range(1, 701)
    ]
    return "\n\n".join(berths).encode()


def content_of(name: str) -> bytes:
    return long_text() if name == "berths.md" else (SAMPLES / name).read_bytes()


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> dict[str, list[Row]]:
    """What each file becomes when nothing fails; filled by the first test that asks for it."""
    return {}


def expected(stack: Stack, undisturbed: dict[str, list[Row]], name: str) -> list[Row]:
    if name not in undisturbed:
        document = finished(submit(name, content_of(name), collection="undisturbed"), INGEST_S)
        assert document.state == "ready", f"{document.error_code}: {document.error_message}"
        undisturbed[name] = rows_of(document)
    return undisturbed[name]


def killed_document(stack: Stack, name: str, case: str) -> Document:
    return submit(name, content_of(name), collection=f"killed {case}")


def resumed(step: Step, attempts: int) -> bool:
    return attempts_of(step) > attempts


def check_rows(found: list[Row], wanted: list[Row]) -> None:
    assert found == wanted
    for row, other in zip(found, wanted, strict=True):
        assert row.vectors.keys() == other.vectors.keys()
        for space, vector in row.vectors.items():
            # Which texts share a batch differs between runs, and with it the last bit of a matrix product.
            assert np.abs(vector - other.vectors[space]).max() <= HALF_PRECISION_STEP


def check_resumed(document: Document, wanted: list[Row], step: Step) -> None:
    check_whole(document, wanted)
    assert next(one for one in steps_of(document) if one.pk == step.pk).attempts > 1


def check_whole(document: Document, wanted: list[Row]) -> None:
    document = finished(document, INGEST_S)
    assert document.state == "ready", f"{document.error_code}: {document.error_message}"
    check_rows(rows_of(document), wanted)
    with acting_as_system():
        for segment in Segment.objects.filter(document=document).select_related("part"):
            assert segment.pk == segment_id(
                document_id=document.pk,
                part_ordinal=segment.part.ordinal,
                kind=segment.kind,
                ordinal=segment.ordinal,
                text=segment.text,
            )


class TestWorkerKilled:
    @pytest.mark.parametrize(
        ("kind", "name", "slot"),
        [
            ("parse", "delivery-scan.pdf", "worker-bulk-elsewhere"),
            ("speech", "meeting.mp3", "worker-bulk"),
            ("ocr", "delivery-scan.pdf", "worker-bulk"),
            ("embed", "berths.md", "worker-bulk"),
            ("write", "berths.md", "worker-bulk-elsewhere"),
        ],
    )
    def test_holding_a_lease_is_resumed_with_the_same_result(
        self, stack: Stack, undisturbed: dict[str, list[Row]], kind: str, name: str, slot: str
    ) -> None:
        wanted = expected(stack, undisturbed, name)

        document = killed_document(stack, name, kind)
        step = wait_for(f"a lease of a {kind} step", lambda: leased(document, kind), INGEST_S)
        stack.kill("worker-bulk")
        # In the same slot the worker gives its former leases back; in another one the reaper takes them.
        stack.start_as("worker-bulk", slot=slot)
        try:
            wait_for("the next attempt", lambda: resumed(step, step.attempts), RESUME_S)
            check_resumed(document, wanted, step)
        finally:
            if slot != "worker-bulk":
                stack.kill(slot)
                stack.start("worker-bulk")

    def test_that_comes_back_after_its_lease_was_taken_writes_nothing(
        self, stack: Stack, undisturbed: dict[str, list[Row]]
    ) -> None:
        wanted = expected(stack, undisturbed, "meeting.mp3")
        document = killed_document(stack, "meeting.mp3", "frozen")
        step = wait_for("a lease of a speech step", lambda: leased(document, "speech"), INGEST_S)
        stack.freeze("worker-bulk")
        try:
            stack.start_as("worker-bulk", slot="worker-bulk-elsewhere")
            wait_for("the next attempt", lambda: resumed(step, step.attempts), RESUME_S)
        finally:
            stack.thaw("worker-bulk")
        try:
            wait_for(
                "the old holder's refusal",
                lambda: f"step speech {step.key} was taken over" in stack.log("worker-bulk"),
                INGEST_S,
            )
            check_resumed(document, wanted, step)
        finally:
            stack.kill("worker-bulk-elsewhere")


class TestEngineKilled:
    @pytest.mark.parametrize(
        ("kind", "role", "name", "end"),
        [
            # As a failed assertion in native code ends it.
            ("speech", "speech", "meeting.mp3", signal.SIGABRT),
            ("ocr", "ocr", "delivery-scan.pdf", signal.SIGKILL),
            ("embed", "text", "berths.md", signal.SIGKILL),
        ],
    )
    def test_in_the_middle_of_a_step_is_started_again(
        self, stack: Stack, undisturbed: dict[str, list[Row]], kind: str, role: str, name: str, end: signal.Signals
    ) -> None:
        wanted = expected(stack, undisturbed, name)
        crashes = stack.engine(role)["crashes"]
        others = {one["role"]: one["pid"] for one in stack.engines.status()["engines"] if one["role"] != role}

        document = killed_document(stack, name, f"engine {kind}")
        step = wait_for(f"a lease of a {kind} step", lambda: leased(document, kind), INGEST_S)
        wait_for("work in the engine", lambda: stack.engine(role)["in_flight"], INGEST_S)
        os.kill(stack.engine(role)["pid"], end)

        # A request that had the engine to itself fails its step, which is tried again; those that shared a batch run
        # again at once.
        check_whole(document, wanted)
        assert stack.engine(role)["crashes"] == crashes + 1
        running = {one["role"]: one["pid"] for one in stack.engines.status()["engines"]}
        assert all(running[other] == pid for other, pid in others.items() if pid is not None)
        assert step.kind == kind
