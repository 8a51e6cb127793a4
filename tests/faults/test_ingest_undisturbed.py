"""Documents of every kind of step end as segments with vectors when nothing fails."""

from __future__ import annotations

import pytest

from core.access.acting import acting_as_system
from core.segments.models import Segment
from core.settings.env import REPOSITORY
from tests.faults.stack import Stack, finished, rows_of, steps_of, submit

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
        ],
    )
    def test_gives_the_kinds_of_segments_with_vectors(self, stack: Stack, name: str, kinds: set[str]) -> None:
        document = submit(SAMPLES / name, collection="c")

        document = finished(document, 240)

        assert document.state == "ready", f"{document.error_code}: {document.error_message}"
        assert all(step.attempts == 1 for step in steps_of(document))
        with acting_as_system():
            found = set(Segment.objects.filter(document=document).values_list("kind", flat=True))
        assert kinds <= found
        assert all(vectors for *_, vectors in rows_of(document))
