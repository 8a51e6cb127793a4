"""Words become runs between pauses, and runs of one speaker sentences with the media's times."""

from __future__ import annotations

from gpu_worker.speech_turns import runs_of, speakers_filled, spoken_sentences
from inference.values import Transcript, Utterance, Word


def said(text: str, start_s: float, *, gap_before: dict[str, float] | None = None) -> Transcript:
    words = []
    time_s = start_s
    for word in text.split():
        time_s += (gap_before or {}).get(word, 0.05)
        words.append(Word(text=f" {word}", start_s=time_s, end_s=time_s + 0.2, probability=0.9))
        time_s += 0.2
    utterance = Utterance(text=text, start_s=words[0].start_s, end_s=words[-1].end_s, words=tuple(words), language="en")
    return Transcript(utterances=(utterance,), language="en", language_probability=1.0)


class TestRuns:
    def test_end_at_pauses_and_at_ends_of_sentences(self) -> None:
        transcript = said("Who pays? The city pays now", 0.0, gap_before={"now": 0.6})

        assert [run.text for run in runs_of(transcript)] == ["Who pays?", "The city pays", "now"]

    def test_keep_the_utterance_s_own_spelling(self) -> None:
        word = [Word(text=text, start_s=n / 10, end_s=n / 10 + 0.05, probability=1.0) for n, text in enumerate("港口")]
        utterance = Utterance(text="港口", start_s=0.0, end_s=0.2, words=tuple(word), language="zh")

        (run,) = runs_of(Transcript(utterances=(utterance,), language="zh", language_probability=1.0))

        assert run.text == "港口"

    def test_of_silence_are_none(self) -> None:
        assert runs_of(Transcript(utterances=(), language="und", language_probability=0.0)) == []


class TestSpokenSentences:
    def test_join_runs_of_one_speaker_and_shift_them_into_the_media(self) -> None:
        runs = runs_of(said("The bridge is painted green. Who pays", 1.0, gap_before={"painted": 0.5}))

        sentences = spoken_sentences([(600.0, runs, [0, 0, 1])])

        assert [(one.text, speaker) for one, speaker in sentences] == [
            ("The bridge is painted green.", 0),
            ("Who pays", 1),
        ]
        assert 601.0 < sentences[0][0].start_s < 601.1
        assert sentences[0][0].words[0].text == "The"

    def test_never_join_two_speakers(self) -> None:
        runs = runs_of(said("yes no", 0.0, gap_before={"no": 0.4}))

        assert [speaker for _, speaker in spoken_sentences([(0.0, runs, [0, 1])])] == [0, 1]


class TestSpeakersFilled:
    def test_give_an_untold_run_the_speaker_before_it_else_the_one_after(self) -> None:
        assert speakers_filled([-1, 1, -1, 0], 5) == [1, 1, 1, 0, 0]
