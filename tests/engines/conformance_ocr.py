"""What every text recogniser promises."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import EmptyInput, InputRejected
from inference.protocols import TextRecognizer


def text_of(reading):
    return [line.text for line in reading.lines]


class OcrConformance:
    """A subclass has fixtures ``engine`` and ``pages``: two upright pages of different text."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, TextRecognizer)
        assert engine.recipe_version

    def test_gives_one_reading_per_picture_in_input_order(self, engine, pages):
        first, second = pages
        blank = np.full((200, 300, 3), 255, np.uint8)

        forward, backward = engine.read([first, blank, second]), engine.read([second, blank, first])

        assert [text_of(r) for r in forward] == [text_of(r) for r in reversed(backward)]
        assert text_of(forward[0]) != text_of(forward[2])
        assert forward[1].lines == ()

    def test_reads_the_same_alone_as_inside_a_batch(self, engine, pages):
        together = engine.read(pages)
        alone = [engine.read([page])[0] for page in pages]

        for one, other in zip(together, alone, strict=True):
            assert [(line.text, line.box) for line in one.lines] == [(line.text, line.box) for line in other.lines]
            assert np.allclose(*([line.confidence for line in each.lines] for each in (one, other)), atol=1e-3)

    def test_keeps_boxes_on_the_page(self, engine, pages):
        for reading in engine.read(pages):
            assert reading.lines
            for line in reading.lines:
                assert 0 <= line.box.x0 < line.box.x1 <= 1
                assert 0 <= line.box.y0 < line.box.y1 <= 1
                assert 0 < line.confidence <= 1
                assert line.text == line.text.strip() != ""

    @pytest.mark.parametrize("turns", [1, 2, 3])
    def test_turns_a_page_upright_and_keeps_boxes_in_the_original_frame(self, engine, pages, turns):
        page = pages[0]
        (upright,) = engine.read([page])

        (turned,) = engine.read([np.ascontiguousarray(np.rot90(page, turns))])

        assert text_of(turned) == text_of(upright)
        assert (upright.rotation_deg, turned.rotation_deg) == (0, 90 * turns)
        for before, after in zip(upright.lines, turned.lines, strict=True):
            box = before.box
            for _ in range(turns):
                box = type(box)(x0=box.y0, y0=1 - box.x1, x1=box.y1, y1=1 - box.x0)
            assert np.allclose(after.box.as_list(), box.as_list(), atol=0.01)

    @pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (900, 3, 3), (37, 53, 3)])
    def test_finds_nothing_on_a_blank_picture_of_any_shape(self, engine, shape):
        assert engine.read([np.full(shape, 255, np.uint8)])[0].lines == ()

    def test_refuses_a_picture_without_pixels(self, engine, pages):
        with pytest.raises(EmptyInput, match="picture 1"):
            engine.read([pages[0], np.zeros((0, 10, 3), np.uint8)])

    @pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
    def test_refuses_what_is_no_rgb_picture(self, engine, image):
        with pytest.raises(InputRejected, match="picture 0"):
            engine.read([image])
