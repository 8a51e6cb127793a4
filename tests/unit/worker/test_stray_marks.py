"""Marks in photographs that look like letters are no text."""

from __future__ import annotations

import pytest

from gpu_worker.steps.ocr import trusted
from inference.values import Box, PageReading, TextLine


def reading(*texts: str) -> PageReading:
    box = Box(x0=0.1, y0=0.1, x1=0.2, y1=0.2)
    return PageReading(lines=tuple(TextLine(text=text, box=box, confidence=0.95) for text in texts))


class TestTrusted:
    @pytest.mark.parametrize(
        "marks", [("9", "C", "O", "O", "0", "O"), ("0000",), ("***", "**K"), ("7",), ("O O O O",), ()]
    )
    def test_finds_no_text_in_coins_wheels_and_patterns(self, marks: tuple[str, ...]) -> None:
        assert trusted(reading(*marks)).lines == ()

    @pytest.mark.parametrize("text", ["YAMAHA", "Pier 4", "1964", "\u51fa\u53e3 2", "CO2"])
    def test_keeps_words_and_numbers(self, text: str) -> None:
        assert trusted(reading(text)) == reading(text)

    def test_drops_a_pattern_beside_words(self) -> None:
        assert trusted(reading("* * *", "COMO HOPPER")) == reading("COMO HOPPER")
