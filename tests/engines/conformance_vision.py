"""What every describer of pictures promises."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import EmptyInput, InputRejected
from inference.protocols import VisionDescriber
from inference.values import Box, PictureToDescribe, TextLine


def ask(image, *, text=None, question=None):
    box = Box(x0=0.1, y0=0.1, x1=0.9, y1=0.2)
    lines = () if text is None else (TextLine(text=text, box=box, confidence=0.95),)
    return PictureToDescribe(image=image, lines=lines, question=question)


class VisionConformance:
    """A subclass has fixtures ``engine`` and ``pictures``: at least two pictures with different captions."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, VisionDescriber)
        assert engine.recipe_version

    def test_gives_one_caption_per_picture_in_input_order(self, engine, pictures):
        forward = engine.describe([ask(image) for image in pictures])
        backward = engine.describe([ask(image) for image in pictures[::-1]])

        assert [item.caption for item in forward] == [item.caption for item in backward][::-1]
        assert all(item.caption and item.engine for item in forward)
        assert forward[0].caption != forward[1].caption

    def test_describes_a_picture_the_same_alone_as_inside_a_batch(self, engine, pictures):
        together = engine.describe([ask(image) for image in pictures])

        assert [engine.describe([ask(image)])[0].caption for image in pictures] == [item.caption for item in together]

    def test_states_facts_with_a_confidence(self, engine, pictures):
        for item in engine.describe([ask(image) for image in pictures]):
            assert item.facts
            assert all(fact.name and fact.value and 0 <= fact.confidence <= 1 for fact in item.facts)

    def test_states_the_text_that_was_read(self, engine, pictures):
        (described,) = engine.describe([ask(pictures[0], text="Sluice gate 7")])

        stated = [described.caption, *(fact.value for fact in described.facts)]
        assert any("Sluice gate 7" in one for one in stated)

    @pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (500, 400, 3)])
    def test_describes_a_blank_picture_of_any_shape(self, engine, shape):
        assert engine.describe([ask(np.full(shape, 255, np.uint8))])[0].caption

    def test_refuses_a_picture_without_pixels(self, engine, pictures):
        with pytest.raises(EmptyInput):
            engine.describe([ask(pictures[0]), ask(np.zeros((0, 10, 3), np.uint8))])

    @pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
    def test_refuses_what_is_no_rgb_picture(self, engine, image):
        with pytest.raises(InputRejected):
            engine.describe([ask(image)])
