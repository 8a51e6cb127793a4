"""LocalAgreement over passes that a scripted recogniser gives, and over the tones that the fake one reads."""

from __future__ import annotations

import numpy as np

from inference.engines.fakes import FakeSpeechRecognizer, fake_sound
from inference.live_transcript import LiveState, live_pass
from inference.preprocessing.utterance import utterances_split
from inference.values import LIVE_WINDOW_MAX_S, SAMPLE_RATE_HZ, Transcript, Word


def transcript(text: str, *, start_s: float = 0.0, word_s: float = 0.5) -> Transcript:
    words = [
        Word(text=word, start_s=start_s + n * word_s, end_s=start_s + (n + 1) * word_s - 0.1, probability=0.9)
        for n, word in enumerate(text.split())
    ]
    return Transcript(utterances=utterances_split(words, "en"), language="en", language_probability=1.0)


def texts(words) -> str:
    return " ".join(word.text for word in words)


def passes(*heard: str, step_s: float = 1.0):
    """Run passes over texts that all begin at the start of the window."""
    state, found = LiveState(), []
    for number, text in enumerate(heard, start=1):
        found.append(live_pass(state, transcript(text), heard_until_s=number * step_s))
        state = found[-1].state
    return found


class TestAgreement:
    def test_makes_a_word_final_when_two_passes_agree_on_it_and_all_before_it(self) -> None:
        first, second, third = passes("the gate", "the gait opens", "the gait opens at")

        assert (texts(first.confirmed), texts(first.partial)) == ("", "the gate")
        assert (texts(second.confirmed), texts(second.partial)) == ("the", "gait opens")
        assert (texts(third.confirmed), texts(third.partial)) == ("gait opens", "at")

    def test_does_not_mind_marks_and_capitals(self) -> None:
        *_, last = passes("the gate. Opens", "the gate opens at")

        assert texts(last.confirmed) == "the gate opens"

    def test_never_takes_a_final_word_back_and_says_none_twice(self) -> None:
        found = passes("I scream", "I scream for", "ice cream for you", "ice cream for you and")

        assert [texts(one.confirmed) for one in found[:2]] == ["", "I scream"]
        assert texts(word for one in found for word in one.confirmed) == "I scream for you"

    def test_takes_all_at_the_end(self) -> None:
        state = passes("the gate", "the gate opens")[-1].state

        last = live_pass(state, transcript("the gate opens now"), heard_until_s=2.5, is_last=True)

        assert (texts(last.confirmed), last.partial) == ("opens now", ())

    def test_keeps_back_a_word_that_the_end_of_the_sound_cuts_when_the_same_sound_comes_twice(self) -> None:
        state = live_pass(LiveState(), transcript("one two three fou"), heard_until_s=2.0).state

        again = live_pass(state, transcript("one two three fou"), heard_until_s=2.0)

        assert texts(again.confirmed) == "one two three"

    def test_keeps_times_in_order_when_two_passes_place_a_word_differently(self) -> None:
        state = passes("one two", "one two three")[-1].state

        last = live_pass(state, transcript("one two three four", start_s=-0.3), heard_until_s=3.0)

        assert last.confirmed[0].start_s >= 0.9


class TestWindow:
    def test_lets_go_of_confirmed_sentences_once_it_is_long(self) -> None:
        text = " ".join(f"word{n}" for n in range(19)) + " end. And then"
        state = live_pass(LiveState(), transcript(text), heard_until_s=11.5).state

        state = live_pass(state, transcript(text), heard_until_s=12.0).state

        assert 9.8 < state.keep_from_s < 10.1
        assert [word.text for word in state.confirmed] == ["And", "then"]

    def test_of_silence_keeps_a_second(self) -> None:
        nothing = Transcript(utterances=(), language="und", language_probability=0.0)

        state = live_pass(LiveState(), nothing, heard_until_s=30.0).state

        assert state.keep_from_s == 29.0

    def test_keeps_a_voice_whose_words_are_not_known_yet(self) -> None:
        unclear = Transcript(utterances=(), language="en", language_probability=1.0, voiced_until_s=20.0)

        state = live_pass(LiveState(), unclear, heard_until_s=23.0).state

        assert state.keep_from_s == 0.0

    def test_reads_its_state_back_from_plain_values(self) -> None:
        state = passes("the gate", "the gate opens")[-1].state

        assert LiveState.from_json(state.as_json()) == state


class TestWholeSession:
    """Feeds sound as a microphone would, one second a pass, through the fake recogniser."""

    def run(self, sound, *, step_s: float = 1.0):
        engine, state, confirmed, lags, longest_s = FakeSpeechRecognizer(), LiveState(), [], [], 0.0
        duration_s = len(sound) / SAMPLE_RATE_HZ
        heard_s = 0.0
        while True:
            heard_s = min(heard_s + step_s, duration_s, state.keep_from_s + LIVE_WINDOW_MAX_S)
            first, end = (round(time_s * SAMPLE_RATE_HZ) for time_s in (state.keep_from_s, heard_s))
            is_last = heard_s >= duration_s
            (heard,) = engine.transcribe([sound[first:end]])
            one = live_pass(state, heard, heard_until_s=heard_s, is_last=is_last)
            longest_s = max(longest_s, round(heard_s - state.keep_from_s, 6))
            confirmed += one.confirmed
            lags += [heard_s - word.end_s for word in one.confirmed]
            state = one.state
            if is_last:
                return confirmed, lags, longest_s

    def test_gives_the_words_of_the_recording_soon_and_in_a_bounded_window(self) -> None:
        text = "the gate opens at nine and closes at ten. bring warm coats and wait beside the old lighthouse. " * 8
        sound = fake_sound(text)

        confirmed, lags, longest_s = self.run(sound)

        assert texts(confirmed) == text.strip()
        assert max(lags) <= 3.0
        assert longest_s <= LIVE_WINDOW_MAX_S
        starts = [word.start_s for word in confirmed]
        assert starts == sorted(starts)

    def test_stays_bounded_where_no_sentence_ends(self) -> None:
        text = "and then the old lighthouse keeper walked along the shore " * 20
        breath = np.zeros(round(0.15 * SAMPLE_RATE_HZ), np.float32)
        sound = np.concatenate([piece for word in text.split() for piece in (fake_sound(word), breath)])

        confirmed, _, longest_s = self.run(sound)

        assert texts(confirmed) == text.strip()
        assert longest_s <= LIVE_WINDOW_MAX_S

    def test_goes_on_when_sound_comes_faster_than_it_is_heard(self) -> None:
        text = "bring warm coats and wait beside the old lighthouse. " * 12

        confirmed, _, longest_s = self.run(fake_sound(text), step_s=20.0)

        assert texts(confirmed) == text.strip()
        assert longest_s <= LIVE_WINDOW_MAX_S

    def test_of_silence_has_no_words(self) -> None:
        assert self.run(np.zeros(60 * SAMPLE_RATE_HZ, np.float32))[0] == []
