"""A segment's id says what it is and where it stands, and nothing else."""

from __future__ import annotations

from uuid import UUID

import pytest

from core.segments.service import segment_id

PLACE = {"document_id": UUID(int=7), "part_ordinal": 1, "kind": "text", "ordinal": 2, "text": "Hello"}


class TestSegmentId:
    def test_is_the_same_in_every_run(self):
        assert segment_id(**PLACE) == UUID("21debff8-4c9c-501e-a949-fd1b75846a45")

    @pytest.mark.parametrize(
        "other",
        [
            {"document_id": UUID(int=8)},
            {"part_ordinal": 2},
            {"kind": "table"},
            {"ordinal": 3},
            {"text": "Hello "},
            {"part_ordinal": 11, "ordinal": 2},
        ],
    )
    def test_tells_places_and_texts_apart(self, other):
        assert segment_id(**{**PLACE, **other}) != segment_id(**PLACE)
