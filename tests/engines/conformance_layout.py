"""What every layout detector promises."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import EmptyInput, InputRejected
from inference.protocols import LayoutDetector

LABELS = {"title", "text", "figure", "table", "caption", "header", "footer", "reference", "equation"}


class LayoutConformance:
    """A subclass has fixtures ``engine`` and ``pages``: two pages of different layout."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, LayoutDetector)
        assert engine.recipe_version

    def test_gives_the_regions_of_each_page_in_input_order(self, engine, pages):
        first, second = pages

        forward, backward = engine.detect([first, second]), engine.detect([second, first])

        assert list(forward) == list(reversed(backward))
        assert forward[0] != forward[1]

    def test_finds_the_same_alone_as_inside_a_batch(self, engine, pages):
        assert [engine.detect([page])[0] for page in pages] == list(engine.detect(pages))

    def test_gives_known_labels_on_the_page_most_confident_first(self, engine, pages):
        for regions in engine.detect(pages):
            assert regions
            confidences = [region.confidence for region in regions]
            assert confidences == sorted(confidences, reverse=True)
            for region in regions:
                assert region.label in LABELS
                assert 0 <= region.box.x0 < region.box.x1 <= 1
                assert 0 <= region.box.y0 < region.box.y1 <= 1

    @pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (500, 400, 3)])
    def test_finds_nothing_on_a_blank_page_of_any_shape(self, engine, shape):
        assert engine.detect([np.full(shape, 255, np.uint8)])[0] == ()

    def test_refuses_a_page_without_pixels(self, engine, pages):
        with pytest.raises(EmptyInput):
            engine.detect([pages[0], np.zeros((0, 10, 3), np.uint8)])

    @pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
    def test_refuses_what_is_no_rgb_picture(self, engine, image):
        with pytest.raises(InputRejected):
            engine.detect([image])
