"""What every text embedder promises."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import EmptyInput
from inference.protocols import TextEmbedder

TEXTS = [
    "The cat sleeps on the warm roof.",
    "Invoice 42 is due on the third of May.",
    "roof",
    "日本語の文章",
    "a long passage about the harbour and the ships that wait there for the tide. " * 60,
    "naïve \u0000 café \ud800 \u202e text",
]


class TextConformance:
    """A subclass has a fixture ``engine``."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, TextEmbedder)
        assert engine.recipe_version

    def test_gives_one_unit_row_of_float32_per_text(self, engine):
        vectors = engine.embed_texts(TEXTS[:5])

        assert vectors.dtype == np.float32
        assert vectors.shape == (5, engine.dimensions)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_gives_the_rows_in_input_order(self, engine):
        np.testing.assert_allclose(engine.embed_texts(TEXTS[:5])[::-1], engine.embed_texts(TEXTS[:5][::-1]), atol=1e-5)

    def test_embeds_a_text_the_same_alone_as_inside_a_batch(self, engine):
        together = engine.embed_texts(TEXTS[:5])

        for row, text in zip(together, TEXTS, strict=False):
            np.testing.assert_allclose(engine.embed_texts([text])[0], row, atol=1e-5)

    def test_puts_a_shared_subject_nearer_than_another(self, engine):
        near, far, query = engine.embed_texts(["the cat on the roof", "an invoice due in May", TEXTS[0]])

        assert near @ query > far @ query + 0.1

    @pytest.mark.parametrize("empty", ["", "   ", "\n\t"])
    def test_refuses_an_empty_text(self, engine, empty):
        with pytest.raises(EmptyInput):
            engine.embed_texts(["something", empty])
