from __future__ import annotations

import numpy as np
import pytest

from inference.engines.fakes import FakeSpeechRecognizer, fake_sound
from inference.errors import InputRejected, LimitExceeded
from inference.registry import engine_load
from inference.values import SAMPLE_RATE_HZ, SpeechRequest
from tests.engines.conformance_speech import SpeechConformance, words_of


class TestFakeSpeechRecognizer(SpeechConformance):
    @pytest.fixture
    def engine(self):
        return FakeSpeechRecognizer()

    @pytest.fixture
    def sounds(self):
        return [fake_sound("the gate opens at nine."), fake_sound("bring warm coats.", voice=2)]

    def test_hears_the_words_that_were_written(self, engine, sounds):
        assert [[w.text for w in words_of(t)] for t in engine.transcribe(sounds)] == [
            ["the", "gate", "opens", "at", "nine."],
            ["bring", "warm", "coats."],
        ]


@pytest.fixture(scope="module")
def whisper(model_folder):
    return engine_load("faster_whisper", [model_folder("whisper-base")], threads=2)


@pytest.mark.weights
class TestFasterWhisperRecognizer(SpeechConformance):
    @pytest.fixture
    def engine(self, whisper):
        return whisper

    @pytest.fixture
    def sounds(self, recording):
        return [recording("speech_english.flac"), recording("speech_german.flac")]

    def test_writes_what_was_said_in_the_language_it_was_said_in(self, engine, sounds):
        english, german = engine.transcribe(sounds)

        said = " ".join(utterance.text for utterance in english.utterances).lower()
        assert all(word in said for word in ("committee", "thursday", "railway station", "warm coats"))
        gesagt = " ".join(utterance.text for utterance in german.utterances)
        assert all(word in gesagt for word in ("Guten Morgen", "Hamburg", "Uhr"))
        assert (english.language, german.language) == ("en", "de")
        assert min(english.language_probability, german.language_probability) > 0.5

    def test_translates_into_english_and_says_what_was_spoken(self, engine, sounds):
        (transcript,) = engine.transcribe([SpeechRequest(waveform=sounds[1], task="translate")])

        said = " ".join(utterance.text for utterance in transcript.utterances).lower()
        assert "good morning" in said
        assert "guten" not in said
        assert transcript.language == "de"

    def test_takes_style_from_the_prompt(self, engine, sounds):
        style = "the committee met on monday. bring your hats. they will wait"

        plain, prompted = engine.transcribe(
            [
                SpeechRequest(waveform=sounds[0], language="en"),
                SpeechRequest(waveform=sounds[0], language="en", prompt=style),
            ]
        )

        assert plain.utterances[0].text.startswith("The committee")
        assert prompted.utterances[0].text.startswith("the committee")

    def test_takes_names_from_hot_words(self, engine, recording):
        sound = recording("speech/north_and_south_5.flac")
        named = SpeechRequest(waveform=sound, language="en", hot_words=("shoppy", "Helstone"))

        plain, hinted = engine.transcribe([SpeechRequest(waveform=sound, language="en"), named])

        assert "Helstone" not in plain.utterances[0].text
        assert "shoppy at Helstone" in hinted.utterances[0].text

    def test_parts_sentences(self, engine, sounds):
        (transcript,) = engine.transcribe(sounds[:1])

        assert len(transcript.utterances) == 2
        assert transcript.utterances[1].text.startswith("Please")

    def test_decodes_more_than_one_window(self, engine, recording):
        conversation = recording("conversation.flac")
        pause = np.zeros(12 * SAMPLE_RATE_HZ, np.float32)

        (transcript,) = engine.transcribe([np.concatenate([conversation, pause, conversation, pause, conversation])])

        museums_s = [w.start_s for w in words_of(transcript) if "museum" in w.text.lower()]
        period_s = (len(conversation) + len(pause)) / SAMPLE_RATE_HZ
        assert len(museums_s) == 3
        assert np.allclose(np.diff(museums_s), period_s, atol=0.5)

    def test_refuses_a_waveform_over_the_limit(self, engine):
        with pytest.raises(LimitExceeded, match="1801 s; the limit is 1800 s"):
            engine.transcribe([np.zeros(1801 * SAMPLE_RATE_HZ, np.float32)])


@pytest.mark.weights
class TestFasterWhisperLoading:
    def test_refuses_a_folder_without_a_model_instead_of_downloading_one(self, tmp_path):
        with pytest.raises(InputRejected, match="no Whisper model"):
            engine_load("faster_whisper", [tmp_path / "base"], threads=1)

    def test_refuses_an_option_that_it_does_not_know(self, model_folder):
        with pytest.raises(InputRejected, match="beam"):
            engine_load("faster_whisper", [model_folder("whisper-tiny-en")], threads=1, options={"beam": 2})

    def test_refuses_to_translate_with_an_english_model(self, model_folder, recording):
        tiny = engine_load("faster_whisper", [model_folder("whisper-tiny-en")], threads=2)

        with pytest.raises(InputRejected, match="multilingual"):
            tiny.transcribe([SpeechRequest(waveform=recording("speech_english.flac"), task="translate")])

    def test_serves_an_english_model_as_well(self, model_folder, recording):
        tiny = engine_load("faster_whisper", [model_folder("whisper-tiny-en")], threads=2, options={"beam_size": 1})

        (transcript,) = tiny.transcribe([recording("speech_english.flac")])

        assert "thursday" in transcript.utterances[0].text.lower()
        assert (transcript.language, transcript.language_probability) == ("en", 1.0)
