from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.preprocessing import mel
from inference.preprocessing.speech_window import WINDOW_SAMPLES, clipped, pause_cut, speech_windows
from inference.preprocessing.utterance import LONGEST_S, utterances_split, words_whole
from inference.values import SAMPLE_RATE_HZ, Word


def words(*entries):
    return [Word(text=text, start_s=start_s, end_s=end_s, probability=0.9) for text, start_s, end_s in entries]


class TestSpeechWindows:
    def test_put_stretches_end_to_end_and_map_times_back(self):
        waveform = np.arange(10 * SAMPLE_RATE_HZ, dtype=np.float32)

        (window,) = speech_windows(waveform, [(16_000, 32_000), (96_000, 112_000)])

        assert len(window.sound) == 32_000
        assert window.original_span(0.25, 0.5) == (1.25, 1.5)
        assert window.original_span(1.25, 1.5) == (6.25, 6.5)

    def test_keep_a_word_inside_the_stretch_of_its_middle(self):
        (window,) = speech_windows(np.zeros(160_000, np.float32), [(16_000, 32_000), (96_000, 112_000)])

        assert window.original_span(0.8, 1.1) == (1.8, 2.0)

    def test_never_exceed_the_window_and_lose_no_sample(self):
        waveform = np.arange(3 * WINDOW_SAMPLES, dtype=np.float32)
        stretches = [(0, 10), (20, 20 + WINDOW_SAMPLES), (2 * WINDOW_SAMPLES, 3 * WINDOW_SAMPLES)]

        windows = speech_windows(waveform, stretches)

        assert max(len(window.sound) for window in windows) <= WINDOW_SAMPLES
        expected = np.concatenate([waveform[first:end] for first, end in stretches])
        assert np.array_equal(np.concatenate([window.sound for window in windows]), expected)

    def test_of_silence_are_none(self):
        assert speech_windows(np.zeros(1000, np.float32), []) == []


class TestPauseCut:
    def test_is_in_the_middle_of_the_longest_pause(self):
        assert pause_cut(np.zeros(160_000, np.float32), [(0, 40_000), (48_000, 90_000), (122_000, 160_000)]) == 106_000

    def test_counts_the_silence_at_both_ends(self):
        assert pause_cut(np.zeros(160_000, np.float32), [(80_000, 160_000)]) == 40_000

    def test_is_the_quietest_place_where_nobody_pauses(self):
        sound = np.ones(160_000, np.float32)
        sound[100_800:102_400] = 0.1

        assert pause_cut(sound, [(0, 160_000)]) == 101_600

    def test_of_nothing_is_its_start(self):
        assert pause_cut(np.zeros(0, np.float32), []) == 0


class TestClipped:
    def test_keeps_what_lies_between(self):
        assert clipped([(0, 10), (20, 30), (40, 50)], 5, 25) == [(5, 10), (20, 25)]


class TestWordsWhole:
    def test_puts_together_what_has_no_space_between(self):
        heard = words((" à", 0, 0.2), (" l", 0.2, 0.3), ("'eau,", 0.3, 0.6), (" 28", 0.7, 0.9), (".8", 0.9, 1.4))

        whole = words_whole(heard, "fr")

        assert [(word.text, word.start_s, word.end_s) for word in whole] == [
            ("à", 0, 0.2),
            ("l'eau,", 0.2, 0.6),
            ("28.8", 0.7, 1.4),
        ]

    def test_leaves_scripts_without_spaces_in_their_pieces(self):
        assert [word.text for word in words_whole(words(("今日", 0, 0.4), ("は", 0.4, 0.5)), "ja")] == ["今日", "は"]


class TestUtterancesSplit:
    def test_parts_at_pauses_and_at_sentence_ends(self):
        spoken = words(("Yes.", 0, 0.4), ("We", 0.5, 0.6), ("met", 0.6, 0.9), ("again", 2.0, 2.4))

        assert [u.text for u in utterances_split(spoken, "en")] == ["Yes.", "We met", "again"]

    def test_keeps_abbreviations_and_decimals_together(self):
        spoken = words(("Dr.", 0, 0.3), ("Weir", 0.3, 0.6), ("paid", 0.6, 0.9), ("3.", 0.9, 1.0), ("euros", 1.0, 1.4))

        assert [u.text for u in utterances_split(spoken, "en")] == ["Dr. Weir paid 3. euros"]

    def test_joins_scripts_without_spaces_without_spaces(self):
        assert utterances_split(words(("今日", 0, 0.4), ("は", 0.4, 0.5)), "ja")[0].text == "今日は"

    def test_ends_an_utterance_that_gets_too_long(self):
        spoken = words(*((f"w{n}", n * 0.5, n * 0.5 + 0.4) for n in range(100)))

        found = utterances_split(spoken, "en")

        assert max(u.end_s - u.start_s for u in found) <= LONGEST_S
        assert sum(len(u.words) for u in found) == 100


class TestMelPower:
    def test_puts_a_tone_into_the_filter_around_it(self):
        times_s = torch.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        centres_hz = mel.mel_filters() @ np.linspace(0, 8000, 201) / mel.mel_filters().sum(axis=1)

        for channel in (8, 20, 35):
            power = mel.mel_power(torch.sin(2 * torch.pi * float(centres_hz[channel]) * times_s))
            assert power.shape == (101, mel.CHANNELS)
            assert int(power[50].argmax()) == channel

    def test_grows_with_the_square_of_the_amplitude(self):
        sound = torch.randn(SAMPLE_RATE_HZ, generator=torch.Generator().manual_seed(0))

        assert torch.allclose(mel.mel_power(2 * sound), 4 * mel.mel_power(sound), rtol=1e-3)

    def test_has_filters_of_equal_area(self):
        widths_hz = SAMPLE_RATE_HZ / 2 / 200

        assert mel.mel_filters()[15:].sum(axis=1) * widths_hz == pytest.approx(1.0, abs=0.05)
