"""What every language model promises."""

from __future__ import annotations

import json

import jsonschema
import pytest

from inference.errors import ContextOverflow, EmptyInput
from inference.protocols import LanguageModel
from inference.values import ChatMessage, ChatRequest

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 40}, "city": {"type": "string", "maxLength": 40}},
    "required": ["name", "city"],
    "additionalProperties": False,
}


def request(text, *, system=None, **fields):
    before = () if system is None else (ChatMessage(role="system", content=system),)
    return ChatRequest(messages=(*before, ChatMessage(role="user", content=text)), **fields)


def answer(engine, asked):
    return "".join(delta.text for delta in engine.generate(asked))


class LanguageConformance:
    """A subclass has a fixture ``engine``."""

    SOURCES = (
        "Sources:\n[1] The ferry leaves at nine from pier four.\n[2] Dogs pay half.\n\n"
        "Question: When does the ferry leave?"
    )

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, LanguageModel)
        assert engine.recipe_version
        assert engine.context_tokens > 0

    def test_answers_from_the_given_source(self, engine):
        assert "nine" in answer(engine, request(self.SOURCES, max_tokens=40)).lower()

    def test_streams_pieces_and_ends_with_reason_and_counts(self, engine):
        deltas = list(engine.generate(request(self.SOURCES, max_tokens=40)))

        *pieces, last = deltas
        assert len([piece for piece in pieces if piece.text]) > 2
        assert all(piece.finish_reason is None for piece in pieces)
        assert last.finish_reason in ("stop", "length")
        assert last.prompt_tokens == len(engine.prompt_token_ids(request(self.SOURCES).messages))
        assert 0 < last.completion_tokens <= 40

    def test_ends_at_the_number_of_tokens(self, engine):
        last = list(engine.generate(request(self.SOURCES, max_tokens=2)))[-1]

        assert (last.finish_reason, last.completion_tokens) == ("length", 2)

    def test_says_the_same_again(self, engine):
        asked = request(self.SOURCES, max_tokens=40)

        assert len({answer(engine, asked) for _ in range(3)}) == 1

    def test_ends_before_a_stop_string(self, engine):
        whole = answer(engine, request(self.SOURCES, max_tokens=40))
        stop = whole.split()[2]

        deltas = list(engine.generate(request(self.SOURCES, max_tokens=40, stop=(stop,))))

        assert "".join(delta.text for delta in deltas).rstrip() == whole[: whole.index(stop)].rstrip()
        assert deltas[-1].finish_reason == "stop"

    def test_writes_json_of_the_schema(self, engine):
        asked = request("Write Anna of Basel as JSON with name and city.", max_tokens=120, json_schema=PERSON)

        jsonschema.validate(json.loads(answer(engine, asked)), PERSON)

    def test_refuses_what_exceeds_the_window_before_generating(self, engine):
        long = request("word " * (2 * engine.context_tokens))

        with pytest.raises(ContextOverflow, match=str(engine.context_tokens)):
            engine.generate(long)

    def test_refuses_an_answer_that_exceeds_the_window(self, engine):
        with pytest.raises(ContextOverflow, match=str(engine.context_tokens)):
            engine.generate(request("Hello", max_tokens=engine.context_tokens))

    def test_refuses_a_conversation_without_messages(self, engine):
        with pytest.raises(EmptyInput):
            engine.generate(ChatRequest(messages=()))

    def test_goes_on_after_an_answer_was_broken_off(self, engine):
        deltas = engine.generate(request(self.SOURCES, max_tokens=40))
        next(deltas)
        deltas.close()

        assert "nine" in answer(engine, request(self.SOURCES, max_tokens=40)).lower()

    def test_counts_the_tokens_of_each_text(self, engine):
        short, long, empty = engine.count_tokens(["ferry", "the ferry leaves at nine from pier four", ""])

        assert empty == 0
        assert 0 < short < long

    def test_a_longer_conversation_has_more_token_ids(self, engine):
        short = engine.prompt_token_ids(request("Hello").messages)
        long = engine.prompt_token_ids(request("Hello", system="You answer from sources only.").messages)

        assert all(isinstance(token, int) for token in short)
        assert len(long) != len(short)
