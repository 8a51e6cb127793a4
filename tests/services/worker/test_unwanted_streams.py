"""A stream that nobody wants any more ends in the engine, also while its reader only waits."""

from __future__ import annotations

import threading

import pytest

from inference.values import ChatMessage, ChatRequest

pytestmark = pytest.mark.services

ASKED = ChatRequest(
    messages=(
        ChatMessage(role="user", content="[1] The tide rises at nine in the morning.\nWhen does the tide rise?"),
    ),
    max_tokens=40,
)


def said(deltas) -> str:
    return "".join(delta.text for delta in deltas)


class TestAnUnwantedStream:
    def test_ends_without_a_reason_and_leaves_the_engine_free(self, host):
        unwanted = threading.Event()
        with host.lease(
            role="language", priority="interactive", deadline_s=30, stopped=unwanted.is_set
        ) as language_model:
            whole = list(language_model.generate(ASKED))
            deltas = language_model.generate(ASKED)
            first = next(deltas)
            unwanted.set()
            rest = list(deltas)
            unwanted.clear()

            assert whole[-1].finish_reason == "stop"
            assert first == whole[0]
            assert rest == []
            assert said(language_model.generate(ASKED)) == said(whole)

    def test_says_nothing_when_it_was_unwanted_from_the_start(self, host):
        with host.lease(role="language", priority="interactive", deadline_s=30, stopped=lambda: True) as language_model:
            assert list(language_model.generate(ASKED)) == []
