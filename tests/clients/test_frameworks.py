"""langchain-openai and llama-index's OpenAI-like classes against a running server, without any way out."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module", params=["langchain", "llama-index"])
def outcome(request, run_client):
    return run_client(request.param, f"drive_{request.param.replace('-', '_')}.py")


@pytest.fixture(scope="module")
def langchain(run_client):
    return run_client("langchain", "drive_langchain.py")


def cosine(first, second) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


class TestBoth:
    def test_a_streamed_answer_is_the_whole_one(self, outcome):
        assert outcome.value("whole")["text"].strip()
        assert outcome.value("streamed")["text"] == outcome.value("whole")["text"]
        assert outcome.value("streamed")["pieces"] > 4

    def test_tokens_are_counted(self, outcome):
        usage = outcome.value("whole")["usage"]

        assert usage["total_tokens"] > 8

    def test_a_collection_answers(self, outcome):
        assert "1976" in outcome.value("grounded")

    def test_embeddings_are_near_where_the_meaning_is(self, outcome):
        boat, law, ship = outcome.value("embeddings")

        assert cosine(boat, ship) > cosine(law, ship) + 0.1

    def test_an_unknown_model_is_the_clients_own_error(self, outcome):
        error = outcome.value("unknown_model")

        # langchain's is a subclass of its own.
        assert error["raised"].endswith("NotFoundError")
        assert error["status"] == 404


class TestLangchain:
    def test_structured_output_is_validated(self, langchain):
        person = langchain.value("structured")

        assert set(person) == {"name", "age"}

    def test_a_stream_ends_with_its_usage(self, langchain):
        assert [one["output_tokens"] > 0 for one in langchain.value("streamed")["usage"]] == [True]
