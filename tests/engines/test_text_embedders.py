from __future__ import annotations

import numpy as np
import pytest

from inference.engines.fakes import FakeTextEmbedder, FakeTrigramEmbedder
from inference.errors import EngineUnavailable, InputRejected
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


MODEL = "all-minilm-l6-v2"


@pytest.fixture(scope="module", params=["sentence_transformers", "sentence_onnx"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def minilm(model_folder, name):
    return engine_load(name, [model_folder(MODEL)], threads=1)


@pytest.mark.weights
class TestSentenceEmbedders(TextConformance):
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

    def test_small_batches_give_the_same_vectors(self, engine, name, model_folder):
        narrow = engine_load(name, [model_folder(MODEL)], threads=1, options={"batch_tokens": 16})

        np.testing.assert_allclose(narrow.embed_texts(TEXTS), engine.embed_texts(TEXTS), atol=1e-5)

    def test_refuses_an_option_that_it_does_not_know(self, name, model_folder):
        with pytest.raises(InputRejected, match="batch_size"):
            engine_load(name, [model_folder(MODEL)], threads=1, options={"batch_size": 3})


@pytest.mark.weights
def test_onnx_gives_the_vectors_of_sentence_transformers(model_folder):
    engines = [engine_load(one, [model_folder(MODEL)], threads=1) for one in ("sentence_transformers", "sentence_onnx")]

    ours, theirs = (engine.embed_texts(TEXTS) for engine in engines)

    assert (ours * theirs).sum(axis=1).min() > 0.99999


def test_onnx_refuses_a_device_that_it_does_not_run_on(tmp_path):
    with pytest.raises(InputRejected, match="sentence_transformers"):
        engine_load("sentence_onnx", [tmp_path], threads=1, device="cuda:0")


def test_onnx_names_a_missing_graph(tmp_path):
    with pytest.raises(EngineUnavailable, match=r"model\.onnx"):
        engine_load("sentence_onnx", [tmp_path], threads=1)
