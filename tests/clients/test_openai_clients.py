"""The openai client, the newest and a 1.x, against a running server: every call it makes, and the errors it raises."""

from __future__ import annotations

import math

import pytest

from core.remote import broker

pytestmark = pytest.mark.clients

CANCEL_LIMIT_MS = 1000
FORMATS = {
    "openai-newest": ("json", "text", "srt", "vtt", "verbose_json", "diarized_json"),
    "openai-1x": ("verbose_json", "srt"),
}


@pytest.fixture(scope="module", params=["openai-newest", "openai-1x"])
def outcome(request, run_client):
    return run_client(request.param, "drive_openai.py", formats=FORMATS[request.param])


def cosine(first, second) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


class TestModels:
    def test_are_listed_with_their_roles(self, outcome):
        assert outcome.value("models")["smollm2-135m-instruct"] == "language"
        assert outcome.value("model") == "whisper-base"


class TestChat:
    def test_a_whole_answer_counts_its_tokens(self, outcome):
        answer = outcome.value("whole")

        assert answer["choices"][0]["message"]["content"].strip()
        assert 0 < answer["usage"]["completion_tokens"] <= 16
        assert answer["usage"]["prompt_tokens"] > 4
        assert answer["system_fingerprint"].startswith("fp_")

    def test_a_streamed_answer_is_the_same_with_one_usage_chunk(self, outcome):
        whole, streamed = outcome.value("whole"), outcome.value("streamed")

        assert streamed["text"] == whole["choices"][0]["message"]["content"]
        assert streamed["usage"] == [{**streamed["usage"][0], **_counts(whole["usage"])}]
        assert streamed["finish"] == [whole["choices"][0]["finish_reason"]]
        assert len(streamed["ids"]) == 1
        assert streamed["pieces"] > 4

    def test_it_ends_before_a_stop_text(self, outcome):
        found = outcome.value("stopped")

        assert found["stop"] not in found["cut"]["message"]["content"]
        assert found["free"].startswith(found["cut"]["message"]["content"])
        assert found["cut"]["finish_reason"] == "stop"

    def test_a_seed_gives_the_same_text_and_another_another(self, outcome):
        first, again, other = outcome.value("seeds")

        assert first == again
        assert first != other

    def test_a_schema_is_kept_to(self, outcome):
        person = outcome.value("json_schema")

        assert set(person) == {"name", "age"}
        assert isinstance(person["age"], int)

    def test_a_schema_that_is_none_is_the_callers_mistake(self, outcome):
        assert outcome.error("wrong_schema")["raised"] == "BadRequestError"

    def test_a_picture_is_described_whether_sent_or_stored(self, outcome):
        answer = outcome.value("picture")

        assert "cat" in answer["choices"][0]["message"]["content"].lower()
        assert answer["usage"]["completion_tokens"] > 0
        assert "cat" in outcome.value("picture_by_file").lower()

    def test_an_address_of_a_picture_is_refused(self, outcome):
        error = outcome.error("picture_by_address")

        assert (error["raised"], error["code"]) == ("BadRequestError", "url_not_allowed")

    def test_hanging_up_ends_the_generation_within_a_second(self, outcome):
        hung_up = outcome.value("hung_up")

        # A second has passed since; what counts is when the end was written.
        identifier, fields = broker().xrevrange(f"cloister:chat:{hung_up['chat']}:events", count=1)[0]
        assert fields[b"event"] == b"cancelled", fields
        assert int(identifier.split(b"-")[0]) - hung_up["at_s"] * 1000 <= CANCEL_LIMIT_MS


class TestChatOverACollection:
    def test_the_answer_cites_its_source(self, outcome):
        message = outcome.value("grounded")["choices"][0]["message"]

        assert "1976" in message["content"]
        assert "1976" in message["citations"][0]["quote"]
        assert message["refused"] is False
        assert outcome.value("grounded")["usage"]["prompt_tokens"] > 0

    def test_a_streamed_one_comes_in_whole_sentences(self, outcome):
        found = outcome.value("grounded_stream")

        assert "1976" in "".join(found["pieces"])
        assert all(piece.rstrip().endswith(("]", ".", "!", "?", ":")) for piece in found["pieces"])
        assert found["citations"]


class TestEmbeddings:
    def test_are_near_where_the_meaning_is(self, outcome):
        found = outcome.value("embeddings")
        boat, law, ship = found["vectors"]

        assert len(boat) == 384
        assert math.isclose(cosine(boat, boat), 1.0, abs_tol=1e-3)
        assert cosine(boat, ship) > cosine(law, ship) + 0.1
        assert found["tokens"] > 0

    def test_base64_and_numbers_are_the_same_vector(self, outcome):
        found = outcome.value("embeddings")

        assert math.isclose(cosine(found["vectors"][1], found["plain"]), 1.0, abs_tol=1e-4)

    def test_pictures_have_some_too(self, outcome):
        assert outcome.value("picture_embedding") == 384

    def test_other_dimensions_are_refused(self, outcome):
        error = outcome.error("fewer_dimensions")

        assert error["raised"] == "BadRequestError"
        assert "384" in error["message"]


class TestRecordings:
    def test_words_have_their_times(self, outcome):
        found = outcome.value("recording")["verbose_json"]

        assert found["language"] == "en"
        assert math.isclose(found["duration"], 20, abs_tol=0.5)
        assert len(found["words"]) > 10
        assert all(0 <= word["start"] <= word["end"] <= 21 for word in found["words"])
        assert " ".join(segment["text"] for segment in found["segments"]) == found["text"]

    def test_subtitles_are_subtitles(self, outcome):
        assert outcome.value("recording")["srt"].startswith("1\n00:00:")
        assert outcome.value("recording").get("vtt", "WEBVTT").startswith("WEBVTT")

    def test_every_format_says_the_same(self, outcome):
        found = outcome.value("recording")

        texts = {found[kind]["text"] for kind in ("json", "verbose_json", "diarized_json") if kind in found}
        assert len(texts) == 1
        assert found.get("text", "").strip() in (*texts, "")

    def test_speakers_are_told_apart(self, outcome):
        diarized = outcome.value("recording").get("diarized_json")

        assert diarized is None or {one["speaker"] for one in diarized["segments"]} == {"S1", "S2"}

    def test_a_translation_is_english(self, outcome):
        assert outcome.value("translation").strip()

    def test_what_is_no_recording_is_the_callers_mistake(self, outcome):
        error = outcome.error("no_recording")

        assert error["raised"] == "BadRequestError"
        assert "song.mp3" in error["message"]


class TestFilesAndStores:
    def test_a_file_is_sent_read_and_erased(self, outcome):
        found = outcome.value("files")

        assert found["listed"]
        assert found["deleted"]
        assert (found["content"], found["name"]) == ("The pilot boards at buoy nine.", "note.txt")
        assert found["gone"]["raised"] == "NotFoundError"

    def test_a_store_is_searched_inside_its_filters(self, outcome):
        found = outcome.value("vector_store")

        assert found["count"] == 2
        assert found["newest"]
        assert "1976" in found["hits"][0]["content"][0]["text"]
        assert found["hits"][0]["file_id"].startswith("file-")
        assert found["tables"] == []


class TestErrors:
    @pytest.mark.parametrize(
        ("case", "raised"),
        [
            ("400", "BadRequestError"),
            ("401", "AuthenticationError"),
            ("401 chat", "AuthenticationError"),
            ("404", "NotFoundError"),
            ("404 collection", "NotFoundError"),
            ("window", "BadRequestError"),
            ("429", "RateLimitError"),
        ],
    )
    def test_the_client_raises_its_own_class(self, outcome, case, raised):
        assert outcome.value("errors")[case]["raised"] == raised

    def test_a_prompt_beyond_the_window_has_the_code_that_clients_look_for(self, outcome):
        assert outcome.value("errors")["window"]["code"] == "context_length_exceeded"


def _counts(usage: dict) -> dict:
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
