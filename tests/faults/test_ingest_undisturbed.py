"""Documents of every kind of step end as segments with vectors when nothing fails."""

from __future__ import annotations

import numpy as np
import pytest

from core.access.acting import acting_as_system
from core.remote import WorkerRefused, query_embed, worker_status
from core.segments.models import Segment
from core.settings.env import REPOSITORY
from tests.faults.stack import Stack, finished, rows_of, steps_of, submit, wait_for

SAMPLES = REPOSITORY / "configs" / "samples"

pytestmark = [pytest.mark.faults, pytest.mark.weights, pytest.mark.services]


class TestIngestUndisturbed:
    @pytest.mark.parametrize(
        ("name", "kinds"),
        [
            ("tide-gauge.txt", {"text"}),
            ("maintenance-report.pdf", {"text", "table", "image"}),
            ("delivery-scan.pdf", {"text", "image"}),
            ("meeting.mp3", {"speech"}),
            ("flood-alarm.mp4", {"speech", "frame"}),
        ],
    )
    def test_gives_the_kinds_of_segments_with_vectors(self, stack: Stack, name: str, kinds: set[str]) -> None:
        document = submit(name, (SAMPLES / name).read_bytes(), collection="undisturbed")

        document = finished(document, 240)

        assert document.state == "ready", f"{document.error_code}: {document.error_message}"
        assert all(step.attempts == 1 for step in steps_of(document))
        with acting_as_system():
            found = set(Segment.objects.filter(document=document).values_list("kind", flat=True))
        assert kinds <= found
        assert all(row.vectors for row in rows_of(document))


class TestIngestRefused:
    @pytest.mark.parametrize(
        ("name", "content", "code"),
        [
            ("empty.txt", b"", "empty_input"),
            ("spaces.md", b" \n \n\t", "empty_input"),
            ("noise.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 8, "damaged_file"),
        ],
    )
    def test_fails_the_document_with_a_code_and_a_sentence(
        self, stack: Stack, name: str, content: bytes, code: str
    ) -> None:
        document = submit(name, content, collection="refused")

        document = finished(document, 60)

        assert (document.state, document.error_code) == ("failed", code)
        assert name in document.error_message


class TestQueries:
    def test_are_embedded_by_the_worker_into_the_space_of_what_they_look_for(self, stack: Stack) -> None:
        near = np.array(query_embed(role="text", text="a ship enters the port"))
        same = np.array(query_embed(role="text", text="a boat comes into the harbour"))
        far = np.array(query_embed(role="text", text="integer overflow in the parser"))

        assert np.linalg.norm(near) == pytest.approx(1.0, abs=1e-3)
        assert near @ same > 0.4 > near @ far

    def test_with_a_picture_are_decoded_in_the_sandbox(self, stack: Stack) -> None:
        picture = np.array(query_embed(role="image_text", image=(SAMPLES / "photograph.jpg").read_bytes()))
        cat = np.array(query_embed(role="image_text", text="a cat"))
        truck = np.array(query_embed(role="image_text", text="a fire truck"))

        assert picture @ cat > picture @ truck

    def test_with_bytes_that_are_no_picture_are_refused_with_a_sentence(self, stack: Stack) -> None:
        with pytest.raises(WorkerRefused, match="the query's picture") as refused:
            query_embed(role="image_text", image=b"\x89PNG\r\n\x1a\n" + bytes(200))

        assert refused.value.code in {"damaged_file", "unsupported_format"}

    def test_status_is_reported_to_the_web_process(self, stack: Stack) -> None:
        status = wait_for("a status report", worker_status, 60)

        assert status["profile"] == "embedded"
        assert {engine["role"] for engine in status["engines"]} >= {"text", "speech", "language"}
