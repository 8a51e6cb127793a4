"""What every speech recogniser promises."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import DamagedFile, EmptyInput, InputRejected
from inference.protocols import SpeechRecognizer
from inference.values import SAMPLE_RATE_HZ, SpeechRequest


def words_of(transcript):
    return [word for utterance in transcript.utterances for word in utterance.words]


def letters(word):
    return "".join(letter for letter in word.text.lower() if letter.isalnum())


class SpeechConformance:
    """A subclass has fixtures ``engine`` and ``sounds``: two recordings of different speech."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, SpeechRecognizer)
        assert engine.recipe_version

    def test_gives_one_transcript_per_waveform_in_input_order(self, engine, sounds):
        first, second = sounds

        forward, backward = engine.transcribe([first, second]), engine.transcribe([second, first])

        assert [t.utterances[0].text for t in forward] == [t.utterances[0].text for t in reversed(backward)]
        assert forward[0].utterances[0].text != forward[1].utterances[0].text

    def test_hears_the_same_alone_as_inside_a_batch(self, engine, sounds):
        silence = np.zeros(SAMPLE_RATE_HZ, np.float32)

        together = engine.transcribe([sounds[0], silence, sounds[1]])
        alone = [engine.transcribe([sound])[0] for sound in (sounds[0], silence, sounds[1])]

        for one, other in zip(together, alone, strict=True):
            assert [u.text for u in one.utterances] == [u.text for u in other.utterances]
            assert one.language == other.language
            times = [[(w.start_s, w.end_s) for w in words_of(t)] for t in (one, other)]
            assert np.allclose(*times, atol=0.05)

    def test_gives_every_word_a_time_inside_its_utterance_in_order(self, engine, sounds):
        for sound, transcript in zip(sounds, engine.transcribe(sounds), strict=True):
            words = words_of(transcript)
            starts = [word.start_s for word in words]
            assert starts == sorted(starts)
            assert all(0 <= w.start_s <= w.end_s <= len(sound) / SAMPLE_RATE_HZ + 0.01 for w in words)
            assert all(0 <= w.probability <= 1 for w in words)
            for utterance in transcript.utterances:
                assert utterance.text == " ".join(word.text for word in utterance.words)
                assert (utterance.start_s, utterance.end_s) == (
                    utterance.words[0].start_s,
                    utterance.words[-1].end_s,
                )

    def test_moves_times_with_the_sound(self, engine, sounds):
        later = np.concatenate([np.zeros(3 * SAMPLE_RATE_HZ, np.float32), sounds[0]])

        here, there = engine.transcribe([sounds[0], later])

        # The first word may begin inside the margin that voice activity detection keeps before speech.
        starts = [[word.start_s for word in words_of(transcript)] for transcript in (here, there)]
        assert len(starts[0]) == len(starts[1])
        assert np.median(np.subtract(starts[1], starts[0])) == pytest.approx(3.0, abs=0.15)

    def test_says_where_the_last_voice_ends(self, engine, sounds):
        silence = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)

        (transcript,) = engine.transcribe([np.concatenate([sounds[0], silence])])

        assert transcript.voiced_until_s == pytest.approx(transcript.utterances[-1].end_s, abs=1.0)

    def test_splits_utterances_at_a_pause(self, engine, sounds):
        pause = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)

        (transcript,) = engine.transcribe([np.concatenate([sounds[0], pause, sounds[0]])])

        gaps = [b.start_s - a.end_s for a, b in zip(transcript.utterances, transcript.utterances[1:], strict=False)]
        assert max(gaps) > 1.5

    @pytest.mark.parametrize("seconds", [0.01, 1, 35])
    def test_invents_nothing_from_silence(self, engine, seconds):
        (transcript,) = engine.transcribe([np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32)])

        assert transcript.utterances == ()
        assert transcript.language_probability == 0
        assert transcript.voiced_until_s == 0

    def test_invents_nothing_from_noise(self, engine):
        noise = np.random.default_rng(1).normal(0, 0.05, 4 * SAMPLE_RATE_HZ).astype(np.float32)

        assert engine.transcribe([noise])[0].utterances == ()

    def test_takes_the_language_that_is_stated(self, engine, sounds):
        plain, stated = engine.transcribe([sounds[0], SpeechRequest(waveform=sounds[0], language="en")])

        assert [u.text for u in stated.utterances] == [u.text for u in plain.utterances]
        assert (stated.language, stated.language_probability) == ("en", 1.0)

    def test_refuses_a_language_that_it_does_not_know(self, engine, sounds):
        with pytest.raises(InputRejected, match="'tlh'"):
            engine.transcribe([SpeechRequest(waveform=sounds[0], language="tlh")])

    @pytest.mark.parametrize("border_s", [1.5, 2.35, 3.1])
    def test_hears_every_word_once_in_windows_that_share_their_border(self, engine, sounds, border_s):
        pause = np.zeros(SAMPLE_RATE_HZ, np.float32)
        sound = np.concatenate([sounds[0], pause, sounds[0], pause])
        (whole,) = engine.transcribe([SpeechRequest(waveform=sound, language="en")])
        border, shared = round((len(sounds[0]) / SAMPLE_RATE_HZ + border_s) * SAMPLE_RATE_HZ), 2 * SAMPLE_RATE_HZ

        first, second = engine.transcribe(
            [
                SpeechRequest(waveform=sound[: border + shared], language="en", shared_end_s=2.0),
                SpeechRequest(waveform=sound[border:], language="en", shared_start_s=2.0),
            ]
        )

        heard = [*words_of(first), *words_of(second)]
        assert [letters(word) for word in heard] == [letters(word) for word in words_of(whole)]

    def test_refuses_an_empty_waveform(self, engine, sounds):
        with pytest.raises(EmptyInput, match="waveform 1"):
            engine.transcribe([sounds[0], np.zeros(0, np.float32)])

    def test_refuses_samples_that_are_not_numbers(self, engine):
        with pytest.raises(DamagedFile, match="waveform 0"):
            engine.transcribe([np.full(8000, np.nan, np.float32)])

    @pytest.mark.parametrize("shape", [(8000, 2), (2, 8000)])
    def test_refuses_sound_that_is_not_mono(self, engine, shape):
        with pytest.raises(InputRejected, match="mono float32"):
            engine.transcribe([np.zeros(shape, np.float32)])

    def test_refuses_another_sample_type(self, engine):
        with pytest.raises(InputRejected, match="int16"):
            engine.transcribe([np.zeros(8000, np.int16)])
