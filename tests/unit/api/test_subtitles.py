from __future__ import annotations

from core.api.subtitles import LINE_LETTERS, LONGEST_S, Cue, srt, utterance_cues, vtt
from inference.values import Utterance, Word


def said(text: str, start_s: float = 0.0, *, word_s: float = 0.3) -> Utterance:
    words = tuple(
        Word(text=word, start_s=start_s + n * word_s, end_s=start_s + n * word_s + 0.25, probability=0.9)
        for n, word in enumerate(text.split())
    )
    return Utterance(text=text, start_s=words[0].start_s, end_s=words[-1].end_s, words=words, language="en")


class TestCues:
    def test_of_a_long_utterance_can_be_read_and_lose_no_word(self) -> None:
        text = " ".join(f"word{n}" for n in range(120))

        cues = utterance_cues([said(text)])

        assert " ".join(cue.text.replace("\n", " ") for cue in cues) == text
        for cue in cues:
            lines = cue.text.split("\n")
            assert len(lines) <= 2
            assert max(map(len, lines)) <= LINE_LETTERS
            assert cue.end_s - cue.start_s <= LONGEST_S

    def test_end_with_a_clause_where_little_is_lost_by_it(self) -> None:
        text = (
            "When the boiler had been repaired in the spring of that year, the whole village came to look at it again"
        )

        first, *_ = utterance_cues([said(text)])

        assert first.text.endswith("year,")

    def test_never_overlap(self) -> None:
        cues = utterance_cues([said("Yes.", 1.0), said("No.", 1.4)])

        assert (cues[0].start_s, cues[0].end_s) == (1.0, 1.4)
        assert cues[1].end_s == 1.4 + 0.8

    def test_begin_anew_after_a_pause(self) -> None:
        words = (*said("one two").words, *said("three", 5.0).words)
        utterance = Utterance(text="one two three", start_s=0.0, end_s=5.3, words=words, language="en")

        assert [cue.text for cue in utterance_cues([utterance])] == ["one two", "three"]

    def test_of_a_script_without_spaces_are_cut_between_its_pieces(self) -> None:
        words = tuple(
            Word(text=letter, start_s=n / 5, end_s=n / 5 + 0.2, probability=0.9) for n, letter in enumerate("港" * 60)
        )
        utterance = Utterance(text="港" * 60, start_s=0.0, end_s=12.0, words=words, language="zh")

        cues = utterance_cues([utterance])

        assert "".join(cue.text.replace("\n", "") for cue in cues) == "港" * 60
        assert len(cues) > 1


class TestFormats:
    CUES = (
        Cue(text="Is 3 < 5?", start_s=0.0, end_s=1.5, speaker="S1"),
        Cue(text="Yes & no.", start_s=3661.25, end_s=3662.0),
    )

    def test_subrip(self) -> None:
        assert srt(self.CUES) == (
            "1\n00:00:00,000 --> 00:00:01,500\nS1: Is 3 < 5?\n\n2\n01:01:01,250 --> 01:01:02,000\nYes & no.\n"
        )

    def test_webvtt_escapes_what_would_be_markup(self) -> None:
        assert vtt(self.CUES) == (
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n<v S1>Is 3 &lt; 5?\n\n"
            "01:01:01.250 --> 01:01:02.000\nYes &amp; no.\n"
        )

    def test_of_silence_are_empty_files(self) -> None:
        assert (srt([]), vtt([])) == ("", "WEBVTT\n")
