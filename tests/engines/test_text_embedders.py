from __future__ import annotations

import numpy as np
import pytest

from inference.engines.fakes import FakeTextEmbedder, FakeTrigramEmbedder
from inference.errors import InputRejected
from inference.registry import engine_load
from tests.engines.conformance_text import TEXTS, TextConformance


class TestFakeTextEmbedder(TextConformance):
    @pytest.fixture
    def engine(self):
        return FakeTextEmbedder()


class TestFakeTrigramEmbedder(TextConformance):
    @pytest.fixture
    def engine(self):
        return FakeTrigramEmbedder()


@pytest.fixture(scope="module")
def minilm(model_folder):
    return engine_load("sentence_transformers", [model_folder("all-minilm-l6-v2")], threads=1)


@pytest.mark.weights
class TestSentenceTransformersEmbedder(TextConformance):
    @pytest.fixture
    def engine(self, minilm):
        return minilm

    def test_embeds_text_that_is_not_valid_unicode(self, engine):
        assert np.isfinite(engine.embed_texts([TEXTS[5]])).all()

    def test_truncates_at_the_window(self, engine):
        start = "the tide table of the harbour " * 100

        first, second = engine.embed_texts([start + "elephant", start + "parliament"])

        np.testing.assert_allclose(first, second, atol=1e-6)

    def test_finds_the_answer_without_a_shared_word(self, engine):
        answer, other, question = engine.embed_texts(
            ["Payment must arrive by 3 May.", "The lighthouse was painted in 1931.", "When is the bill due?"]
        )

        assert answer @ question > other @ question + 0.2

    def test_small_batches_give_the_same_vectors(self, engine, model_folder):
        narrow = engine_load(
            "sentence_transformers", [model_folder("all-minilm-l6-v2")], threads=1, options={"batch_tokens": 16}
        )

        np.testing.assert_allclose(narrow.embed_texts(TEXTS), engine.embed_texts(TEXTS), atol=1e-5)

    def test_refuses_an_option_that_it_does_not_know(self, model_folder):
        with pytest.raises(InputRejected, match="batch_size"):
            engine_load(
                "sentence_transformers", [model_folder("all-minilm-l6-v2")], threads=1, options={"batch_size": 3}
            )
