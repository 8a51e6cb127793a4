"""The pure parts of /v1: conversations as questions and answers, transcripts in every form, names of models."""

from __future__ import annotations

import json

import pytest

from core.answers.run import REFUSAL
from core.api.openai.audio_shapes import transcript_shape
from core.api.openai.chat_shapes import Ended, Said, Shape
from core.api.openai.errors import RequestRefused
from core.api.openai.grounded import conversation_turns
from core.api.openai.models import served_models
from core.api.openai.values import values_check
from core.chat_stream import ChatCall, ChatTurn
from core.settings.profile import profile_read

HEARD = {
    "language": "en",
    "duration_s": 4.2,
    "turns": [
        {
            "text": "Open the lock.",
            "start_s": 0.5,
            "end_s": 1.5,
            "speaker": "S1",
            "words": [["Open", 0.5, 0.8, 0.9], ["the", 0.8, 0.9, 0.9], ["lock.", 0.9, 1.5, 0.81]],
        },
        {"text": "Done.", "start_s": 3.0, "end_s": 3.5, "speaker": "S2", "words": [["Done.", 3.0, 3.5, 1.0]]},
    ],
}


def chat(*turns: tuple[str, str]) -> list[ChatTurn]:
    return [ChatTurn(role=role, content=content) for role, content in turns]


def shaped(kind: str, *granularities: str):
    return transcript_shape(HEARD, kind=kind, task="transcribe", granularities=granularities)


class TestConversations:
    def test_pairs_questions_with_answers_without_their_marks(self):
        turns = chat(
            ("system", "Be brief."),
            ("user", "When was the hut lost?"),
            ("assistant", "In January 1976. [1] It was wooden. [unsupported]"),
            ("user", "Who built it?"),
        )

        found = conversation_turns(turns)

        assert [(one.question, one.answer) for one in found] == [
            ("When was the hut lost?", "In January 1976. It was wooden."),
            ("Who built it?", ""),
        ]

    def test_takes_a_refusal_for_no_answer(self):
        (found,) = conversation_turns(chat(("user", "Why?"), ("assistant", REFUSAL)))

        assert found.answer == ""


class TestTranscripts:
    def test_as_json_has_the_text_and_the_length(self):
        assert shaped("json") == {"text": "Open the lock. Done.", "usage": {"type": "duration", "seconds": 5}}

    def test_as_verbose_json_has_what_was_asked_for(self):
        words, segments = shaped("verbose_json", "word"), shaped("verbose_json", "segment")

        assert [one["word"] for one in words["words"]] == ["Open", "the", "lock.", "Done."]
        assert "segments" not in words
        assert [(one["start"], one["end"]) for one in segments["segments"]] == [(0.5, 1.5), (3.0, 3.5)]
        assert segments["segments"][0]["avg_logprob"] < segments["segments"][1]["avg_logprob"] == 0
        assert "words" not in segments

    def test_as_subtitles_have_their_times(self):
        assert "00:00:00,500 --> 00:00:01,500\nOpen the lock." in shaped("srt")
        assert "00:00:03.000 --> " in shaped("vtt")

    def test_by_speaker_name_who_spoke(self):
        assert [one["speaker"] for one in shaped("diarized_json")["segments"]] == ["S1", "S2"]


class TestChunks:
    def test_end_with_the_reason_the_usage_and_a_mark(self):
        shape = Shape("1", model="m", fingerprint="fp_1", include_usage=True)
        ended = Ended(finish_reason="stop", prompt_tokens=3, completion_tokens=2)

        events = (shape.opening() + shape.piece(Said("Hi")) + shape.ending(ended)).decode().split("\n\n")

        assert events[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert [chunk["usage"] and chunk["usage"]["total_tokens"] for chunk in chunks] == [None, None, None, 5]
        assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]] == [None, None, "stop"]

    def test_a_call_survives_the_broker(self):
        call = ChatCall(turns=tuple(chat(("user", "Hi"))), stop=("a",), pictures=("b",), json_schema={"type": "object"})
        fields = {
            "turns": [{"role": "user", "content": "Hi"}],
            "max_tokens": None,
            "temperature": 0.0,
            "seed": 0,
            "stop": ["a"],
            "json_schema": {"type": "object"},
            "pictures": ["b"],
            "owner": "",
        }

        assert ChatCall.from_json(fields) == call


class TestModels:
    @pytest.mark.parametrize("name", ["embedded", "workstation", "datacenter"])
    def test_of_every_profile_have_names_of_their_own(self, name):
        found = served_models(profile_read(name))

        assert len({one.id for one in found}) == len(found) == len({one.role for one in found})


class TestValues:
    @pytest.mark.parametrize(
        "value",
        [
            "see https://example.org for more",
            "https is a scheme",
            "file: the second one",
            {"response_format": {"$schema": "https://json-schema.org/draft/2020-12/schema"}},
            "data:image/png;base64,AAAA",
            "http://",
        ],
    )
    def test_text_that_mentions_an_address_is_text(self, value):
        values_check(value)

    @pytest.mark.parametrize("value", [{"a": [{"b": "https://x.y"}]}, {"$ref": "http://x/y"}, ["file:///a"]])
    def test_an_address_is_found_wherever_it_stands(self, value):
        with pytest.raises(RequestRefused, match="is an address"):
            values_check(value)
