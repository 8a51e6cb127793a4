"""Answers on a real PostgreSQL and broker: evidence, generation, attribution, refusal, cancel."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence

import pytest

from core.access.errors import NotFound
from core.answers.models import Answer
from core.answers.run import Engines, answer_run
from core.answers.service import (
    ANSWER_LIFE_S,
    answer_cancel,
    answer_create,
    answer_get,
    answer_json,
    answers_reap,
)
from core.remote import broker
from inference.values import ChatDelta, ChatRequest

pytestmark = pytest.mark.services


class FakeLanguageModel:
    """A fake model that says what it is given, a word at a time, and remembers what it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.requests: list[ChatRequest] = []
        self.said = 0

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        self.requests.append(request)
        for word in self.text.split(" "):
            self.said += 1
            yield ChatDelta(text=word + " ")
        yield ChatDelta(text="", finish_reason="stop")


class FakePictureAnswerer:
    """A fake vision role that gives one answer, or none, and remembers what it was asked."""

    def __init__(self, said: str | None = None) -> None:
        self.said = said
        self.asked: list[dict] = []

    def __call__(self, *, picture_sha256: str, lines: Sequence[str], question: str) -> str | None:
        self.asked.append({"picture_sha256": picture_sha256, "lines": list(lines), "question": question})
        return self.said


@pytest.fixture
def ask(library, embedder, sentence_embedder):
    def run(
        question: str,
        model: FakeLanguageModel,
        *,
        before=lambda answer: None,
        pictures: FakePictureAnswerer | None = None,
        **fields: object,
    ) -> dict:
        answer = answer_create(user=library.alice, collection_id=library.mine.pk, question=question, **fields)
        before(answer)
        answer_run(
            answer_id=str(answer.pk),
            engines=Engines(
                language_model=model,
                query_embedder=embedder,
                sentence_embedder=sentence_embedder,
                picture_answerer=pictures or FakePictureAnswerer(),
            ),
        )
        return answer_json(answer_get(user=library.alice, answer_id=answer.pk))

    return run


def events_of(answer_id: str) -> list[tuple[str, dict]]:
    entries = broker().execute_command("XRANGE", f"cloister:answer:{answer_id}:events", "-", "+")
    found = []
    for _, fields in entries:
        pairs = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
        found.append((pairs[b"event"].decode(), json.loads(pairs[b"data"])))
    return found


FACT = "The boiler in hall four was serviced on 12 March 2021."
QUESTION = "When was the boiler in hall four serviced?"


class TestAnswering:
    def test_a_supported_sentence_carries_a_citation_whose_quote_stands_in_its_segment(self, library, ask):
        segment = library.add(f"The hall is large. {FACT}")

        answer = ask(QUESTION, FakeLanguageModel("The boiler in hall four was serviced on 12 March 2021."))

        assert answer["answer"] == f"{FACT} [1]"
        citation = answer["citations"][0]
        assert citation["segment"] == str(segment.pk)
        assert citation["quote"] in segment.text
        anchor = citation["anchor"]
        assert segment.text[anchor["start_char"] : anchor["end_char"]] == citation["quote"]

    def test_an_unsupported_sentence_is_marked(self, library, ask):
        library.add(FACT)

        answer = ask(QUESTION, FakeLanguageModel(f"{FACT} The director was very pleased with everything."))

        assert [sentence["unsupported"] for sentence in answer["sentences"]] == [False, True]
        assert answer["answer"].endswith("[unsupported]")

    def test_an_invented_answer_gives_way_to_the_source_itself(self, library, ask):
        library.add(FACT)

        answer = ask(QUESTION, FakeLanguageModel("It happened long ago under strange circumstances."))

        assert answer["extractive"]
        assert answer["answer"] == f"{FACT} [1]"

    def test_events_are_tokens_then_checked_sentences_then_done(self, library, ask):
        library.add(FACT)

        answer = ask(QUESTION, FakeLanguageModel(FACT))

        names = [name for name, _ in events_of(answer["id"])]
        assert names.index("token") < names.index("sentence") < names.index("done")
        assert names[-1] == "done"

    def test_a_question_that_the_evidence_does_not_answer_is_refused_before_generation(self, library, ask):
        library.add("Roses are watered twice a week.")
        model = FakeLanguageModel("Never said.")

        answer = ask(QUESTION, model)

        assert answer["refused"]
        assert answer["citations"] == []
        assert model.requests == []

    def test_a_question_that_comes_near_is_refused_with_the_nearest_passage_quoted(self, library, ask):
        segment = library.add("The boiler in hall nine was painted green in spring.")
        model = FakeLanguageModel("Never said.")

        answer = ask(QUESTION, model)

        assert answer["refused"]
        assert 0.1 <= answer["evidence"]["probability"] < 0.5
        assert "do not clearly answer" in answer["answer"]
        assert answer["citations"][0]["quote"] in segment.text
        assert model.requests == []

    def test_a_question_in_another_language_is_answered_by_quoting_and_says_so(self, library, ask):
        library.add("Die Heizung im Keller wurde im März gewartet.", language="de")
        model = FakeLanguageModel("Never said.")

        answer = ask("Wann wurde die Heizung im Keller gewartet?", model)

        assert answer["extractive"]
        assert "does not write German" in answer["answer"]
        assert "Die Heizung im Keller wurde im März gewartet. [1]" in answer["answer"]
        assert model.requests == []

    def test_cancelling_ends_generation_at_the_next_token(self, library, ask):
        library.add(FACT)
        model = FakeLanguageModel("word " * 200)

        answer = ask(QUESTION, model, before=lambda one: answer_cancel(user=library.alice, answer_id=one.pk))

        assert answer["state"] == "cancelled"
        assert model.said == 1

    def test_a_model_that_fails_leaves_a_failed_answer_with_its_reason(self, library, ask):
        class FakeBrokenModel(FakeLanguageModel):
            def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
                raise RuntimeError("no model today")

        library.add(FACT)

        with pytest.raises(RuntimeError):
            ask(QUESTION, FakeBrokenModel(""))

        from core.access.acting import acting_as

        with acting_as(library.alice):
            stored = Answer.objects.get()
        assert stored.state == "failed"
        assert "no model today" in stored.error_message


class TestLostAnswers:
    def test_an_answer_whose_worker_died_ends_with_a_sentence(self, library):
        answer = answer_create(user=library.alice, collection_id=library.mine.pk, question=QUESTION)
        later = answer.created_at + dt.timedelta(seconds=ANSWER_LIFE_S + 1)

        assert answers_reap(now=answer.created_at) == 0
        assert answers_reap(now=later) == 1

        stored = answer_get(user=library.alice, answer_id=answer.pk)
        assert (stored.state, stored.error_message) == ("failed", "the worker ended; ask again")
        assert events_of(str(answer.pk))[-1][0] == "error"


class TestWhoSeesWhat:
    def test_a_foreign_collection_and_a_foreign_answer_are_like_none(self, library, ask):
        library.add(FACT)
        answer = ask(QUESTION, FakeLanguageModel(FACT))

        with pytest.raises(NotFound):
            answer_create(user=library.bob, collection_id=library.mine.pk, question="What?")
        with pytest.raises(NotFound):
            answer_get(user=library.bob, answer_id=answer["id"])

    def test_what_others_may_see_is_no_evidence(self, library, ask):
        library.add(FACT, collection=library.theirs)

        assert ask(QUESTION, FakeLanguageModel(FACT))["refused"]
