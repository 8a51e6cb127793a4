"""Conversations, pictures, the context of answers and what is stored of them, on a real PostgreSQL and broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import pytest

from core.access.acting import acting_as, acting_as_system
from core.access.errors import NotFound
from core.answers.attribution import segment_spans
from core.answers.context import sources_build
from core.answers.conversation import standalone_question
from core.answers.followup import Turn
from core.answers.run import Engines, answer_run
from core.answers.service import answer_create, answer_get, answer_json
from core.documents.models import Document
from core.erasure.service import document_erase
from core.segments.models import Segment
from inference.values import ChatDelta, ChatRequest

pytestmark = pytest.mark.services

FACT = "The boiler in hall four was serviced on 12 March 2021."
QUESTION = "When was the boiler in hall four serviced?"


class FakeLanguageModel:
    """A fake model that says its texts in turn and remembers what it was asked."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.requests: list[ChatRequest] = []

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        self.requests.append(request)
        for word in self.texts.pop(0).split(" "):
            yield ChatDelta(text=word + " ")
        yield ChatDelta(text="", finish_reason="stop")


class FakePictureAnswerer:
    """A fake vision role that gives one answer, or none, and remembers what it was asked."""

    def __init__(self, said: str | None = None) -> None:
        self.said = said
        self.asked: list[tuple[str, list[str], str]] = []

    def __call__(self, *, picture_sha256: str, lines: Sequence[str], question: str) -> str | None:
        self.asked.append((picture_sha256, list(lines), question))
        return self.said


@pytest.fixture
def ask(library, embedder, sentence_embedder):
    def run(
        question: str, *texts: str, pictures: FakePictureAnswerer | None = None, **fields: object
    ) -> tuple[dict, FakeLanguageModel]:
        model = FakeLanguageModel(*texts)
        answer = answer_create(user=library.alice, collection_id=library.mine.pk, question=question, **fields)
        engines = Engines(
            language_model=model,
            query_embedder=embedder,
            sentence_embedder=sentence_embedder,
            picture_answerer=pictures or FakePictureAnswerer(),
        )
        answer_run(answer_id=str(answer.pk), engines=engines)
        return answer_json(answer_get(user=library.alice, answer_id=answer.pk)), model

    return run


class TestConversations:
    def test_a_follow_up_is_answered_about_what_the_question_before_was_about(self, library, ask):
        library.add(f"{FACT} The boiler in hall four was painted by the harbour office.")
        library.add("The crane was painted by the town.")
        first, _ = ask(QUESTION, FACT)

        follow, model = ask("Who painted it?", "It was painted by the harbour office.", follows=uuid.UUID(first["id"]))

        assert follow["conversation"] == first["conversation"]
        assert "boiler" in follow["evidence"]["condensed"]["question"]
        assert "Question: Who painted it? (boiler" in model.requests[0].messages[1].content

    def test_a_new_question_is_a_conversation_of_its_own(self, library, ask):
        library.add(FACT)
        first, _ = ask(QUESTION, FACT)
        second, _ = ask(QUESTION, FACT)

        assert first["conversation"] != second["conversation"]
        assert "condensed" not in second["evidence"]

    def test_turns_that_a_client_keeps_condense_too(self, library, ask):
        library.add(FACT)

        answer, model = ask("When was it serviced?", FACT, history=[Turn(question="Where is the boiler in hall four?")])

        assert "boiler" in model.requests[0].messages[1].content.rsplit("Question:", 1)[1]
        assert not answer["refused"]

    def test_a_foreign_answer_cannot_be_followed(self, library, ask):
        library.add(FACT)
        first, _ = ask(QUESTION, FACT)

        with pytest.raises(NotFound):
            answer_create(
                user=library.bob,
                collection_id=library.theirs.pk,
                question="Who painted it?",
                follows=uuid.UUID(first["id"]),
            )

    def test_a_larger_model_condenses_where_it_can(self, library, ask):
        library.add(FACT)
        first, _ = ask(QUESTION, FACT)
        follow = answer_create(
            user=library.alice,
            collection_id=library.mine.pk,
            question="When was it?",
            follows=uuid.UUID(first["id"]),
        )
        model = FakeLanguageModel(QUESTION)

        found = standalone_question(answer=follow, user=library.alice, language_model=model, condenses=True)

        assert FACT in model.requests[0].messages[1].content
        assert (found.question, found.by_model) == (QUESTION, True)
        assert found.documents == (first["citations"][0]["document"],)


class TestPictures:
    PICTURE = "ab" * 32

    def picture(self, library, text: str = "Likely a photograph of: cat.\nCAT SHOW") -> Segment:
        return library.add(
            text, kind="image", label="cat", picture_sha256=self.PICTURE, anchor={"page": 1, "box": [0, 0, 1, 1]}
        )

    def test_a_question_about_a_picture_goes_to_the_vision_role_with_the_picture(self, library, ask):
        segment = self.picture(library)
        vision = FakePictureAnswerer("The colours are orange and white.")

        answer, model = ask("What does the photograph of the cat show?", pictures=vision)

        assert vision.asked == [(self.PICTURE, ["CAT SHOW"], "What does the photograph of the cat show?")]
        assert answer["answer"] == "The colours are orange and white. [1]"
        assert answer["citations"][0]["anchor"] == segment.anchor
        assert answer["citations"][0]["quote"] in segment.text
        assert "vision" in answer["evidence"]["models"]
        assert model.requests == []

    def test_a_description_is_answered_by_the_caption_where_the_vision_role_cannot_tell(self, library, ask):
        self.picture(library, "Likely a photograph of: espresso.")

        answer, _ = ask("a cat", pictures=FakePictureAnswerer(None))

        assert not answer["refused"]
        assert answer["answer"] == "Likely a photograph of: espresso. [1]"

    def test_a_line_that_answers_another_question_gives_way_to_the_words_of_the_picture(self, library, ask):
        self.picture(library, "Likely a bar chart.\nVisitors of the museum\nJuly was the busiest month of the museum")

        answer, _ = ask(
            "Which month was the busiest of the museum?",
            "July was the busiest month of the museum.",
            pictures=FakePictureAnswerer('A line in the picture reads: "Visitors of the museum".'),
        )

        assert answer["answer"] == "July was the busiest month of the museum. [1]"
        assert "vision" not in answer["evidence"]["models"]


class TestContext:
    def chunks(self, library, *texts: str, kind: str = "text") -> list[Segment]:
        first = library.add(texts[0], kind=kind)
        found = [first]
        with acting_as_system():
            for ordinal, text in enumerate(texts[1:], start=1):
                found.append(
                    Segment.objects.create(
                        id=uuid.uuid4(),
                        document=first.document,
                        collection=first.collection,
                        part=first.part,
                        ordinal=ordinal,
                        kind=kind,
                        text=text,
                        anchor={"start_char": 0, "end_char": len(text)},
                        spans=[],
                        language="en",
                    )
                )
        return found

    def test_neighbours_stand_beside_a_segment_in_reading_order(self, library):
        before, middle, after, _far = self.chunks(library, "Before.", "Middle.", "After.", "Far.")

        (source,) = sources_build(user=library.alice, segments=[middle], budget_chars=1000)

        assert source.text == "Before.\nMiddle.\nAfter."
        assert source.segment_ids == (before.pk, middle.pk, after.pk)

    def test_a_table_is_whole_with_its_header_once(self, library):
        rows = [f"Name | Height\nTower {number} | {number} m" for number in range(5)]
        segments = self.chunks(library, *rows, kind="table")

        (source,) = sources_build(user=library.alice, segments=[segments[2]], budget_chars=1000)

        assert source.text == "Name | Height\n" + "\n".join(f"Tower {number} | {number} m" for number in range(5))

    def test_what_does_not_fit_is_left_out(self, library):
        _, middle, _ = self.chunks(library, "Before. " * 50, "Middle.", "After. " * 50)

        (source,) = sources_build(user=library.alice, segments=[middle], budget_chars=100)

        assert source.text == "Middle."

    def test_what_the_asker_may_not_see_is_no_neighbour(self, library):
        segments = self.chunks(library, "Before.", "Middle.", "After.")

        (source,) = sources_build(user=library.bob, segments=[segments[1]], budget_chars=1000)

        assert source.text == "Middle."

    def test_quotes_of_every_span_stand_in_their_segment(self, library):
        (segment,) = self.chunks(library, FACT + " It is green.\nList\n  a    b\n  c    d")

        assert all(segment.text[span.start : span.end] == span.quote for span in segment_spans([segment]))


class TestStored:
    def test_what_was_searched_shown_and_cited_is_kept_with_the_models_digests(self, library, ask):
        segment = library.add(FACT)

        answer, _ = ask(QUESTION, FACT)

        evidence = answer["evidence"]
        assert evidence["shown"] == [[str(segment.pk)]]
        assert evidence["features"]["own"] > 0
        assert set(evidence["models"]) == {"text", "image_text", "language"}
        digests = [digest for role in evidence["models"].values() for digest in role["models"].values()]
        assert all(len(digest) == 64 for digest in digests)

    def test_a_document_that_is_erased_while_it_is_quoted_leaves_no_words(self, library, embedder, sentence_embedder):
        segment = library.add(FACT)

        class FakeErasingModel(FakeLanguageModel):
            def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
                document_erase(user=library.alice, document_id=segment.document_id)
                yield from super().generate(request)

        answer = answer_create(user=library.alice, collection_id=library.mine.pk, question=QUESTION)
        model = FakeErasingModel(FACT)
        answer_run(
            answer_id=str(answer.pk),
            engines=Engines(
                language_model=model,
                query_embedder=embedder,
                sentence_embedder=sentence_embedder,
                picture_answerer=FakePictureAnswerer(),
            ),
        )
        stored = answer_json(answer_get(user=library.alice, answer_id=answer.pk))

        with acting_as(library.alice):
            assert not Document.objects.filter(pk=segment.document_id).exists()
        assert stored["answer"] == "[source removed]"
        assert "12 March" not in str(stored)
        assert stored["citations"][0]["removed"]
