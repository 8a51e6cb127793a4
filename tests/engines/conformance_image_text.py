"""What every embedder of pictures and text into one space promises."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import EmptyInput, InputRejected
from inference.protocols import ImageTextEmbedder


class ImageTextConformance:
    """A subclass has fixtures ``engine`` and ``pictures``: at least two pictures that show different things."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, ImageTextEmbedder)
        assert engine.recipe_version

    def test_gives_one_unit_row_per_picture_and_per_query_in_one_space(self, engine, pictures):
        for vectors in (
            engine.embed_images(pictures),
            engine.embed_texts(["a cat", "the sea", "red"][: len(pictures)]),
        ):
            assert vectors.dtype == np.float32
            assert vectors.shape == (len(pictures), engine.dimensions)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_gives_the_rows_in_input_order(self, engine, pictures):
        forward, backward = engine.embed_images(pictures), engine.embed_images(pictures[::-1])

        np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)
        assert np.abs(forward[0] - forward[1]).max() > 1e-3

    def test_embeds_a_picture_the_same_alone_as_inside_a_batch(self, engine, pictures):
        together = engine.embed_images(pictures)

        for picture, row in zip(pictures, together, strict=True):
            np.testing.assert_allclose(engine.embed_images([picture])[0], row, atol=1e-5)

    @pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (900, 2, 3)])
    def test_embeds_a_picture_of_any_shape(self, engine, shape):
        assert np.isfinite(engine.embed_images([np.full(shape, 255, np.uint8)])).all()

    def test_refuses_a_picture_without_pixels(self, engine, pictures):
        with pytest.raises(EmptyInput):
            engine.embed_images([pictures[0], np.zeros((0, 10, 3), np.uint8)])

    @pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
    def test_refuses_what_is_no_rgb_picture(self, engine, image):
        with pytest.raises(InputRejected):
            engine.embed_images([image])

    def test_refuses_an_empty_query(self, engine):
        with pytest.raises(EmptyInput):
            engine.embed_texts(["a cat", " "])
