from __future__ import annotations

import shutil

import pytest

from inference.engines.fakes import FakeReranker
from inference.errors import EngineBroken
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.registry import engine_load
from tests.engines.conformance_reranker import PAIRS, RerankerConformance

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("when", "is", "the", "invoice", "due", "on", "third", "of", "may", "lighthouse", "was", "painted", "in", "roof"),
]


class TestFakeReranker(RerankerConformance):
    @pytest.fixture
    def engine(self):
        return FakeReranker()

    def test_scores_the_answer_above_another_passage(self, engine):
        answer, other, _ = engine.score(PAIRS)

        assert answer > other


@pytest.fixture(scope="module")
def reranker_folder(tmp_path_factory):
    """A cross-encoder checkpoint of random weights, saved as transformers saves any."""
    torchvision_prepare()
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-reranker")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)
    torch.manual_seed(0)
    configuration = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        num_labels=1,
        initializer_range=0.5,
    )
    BertForSequenceClassification(configuration).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cross_encoder(reranker_folder):
    return engine_load("cross_encoder", [reranker_folder], threads=1)


class TestCrossEncoderReranker(RerankerConformance):
    @pytest.fixture
    def engine(self, cross_encoder):
        return cross_encoder

    def test_gives_the_scores_of_the_models_own_forward_pass(self, engine, reranker_folder):
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(reranker_folder)
        model = AutoModelForSequenceClassification.from_pretrained(reranker_folder, dtype=torch.float32).eval()
        expected = []
        for query, passage in PAIRS:
            with torch.inference_mode():
                logits = model(**tokenizer(query, passage, truncation=True, return_tensors="pt")).logits
            expected.append(float(torch.sigmoid(logits)))

        assert list(engine.score(PAIRS)) == pytest.approx(expected, abs=1e-5)
        assert max(expected) - min(expected) > 1e-3

    def test_says_what_it_could_not_load(self, reranker_folder, tmp_path):
        broken = tmp_path / "broken"
        shutil.copytree(reranker_folder, broken)
        (broken / "model.safetensors").write_bytes(b"not a checkpoint")

        with pytest.raises(EngineBroken, match="loading"):
            engine_load("cross_encoder", [broken], threads=1)
