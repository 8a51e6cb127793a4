from __future__ import annotations

from inference.preprocessing.reading_order import reading_order
from inference.values import Box, TextLine


def line(text, x0, y0, x1, height=0.02):
    return TextLine(text=text, box=Box(x0=x0, y0=y0, x1=x1, y1=y0 + height), confidence=1.0)


def prose(name, x0, x1, first_y, count=6):
    return [line(f"{name} {n} with some more words", x0, first_y + 0.03 * n, x1) for n in range(count)]


def read(lines):
    shuffled = sorted(lines, key=lambda one: (one.box.y0, one.text[::-1]))
    order = reading_order(shuffled)
    assert sorted(order) == list(range(len(lines)))
    return [shuffled[index].text for index in order]


class TestReadingOrder:
    def test_of_nothing_is_nothing(self):
        assert reading_order([]) == []

    def test_reads_three_columns_one_after_the_other(self):
        lines = [*prose("a", 0.05, 0.32, 0.1), *prose("b", 0.36, 0.63, 0.1), *prose("c", 0.67, 0.95, 0.1)]

        assert read(lines) == [one.text for one in lines]

    def test_reads_wide_text_then_columns_then_wide_text(self):
        lines = [
            *prose("top", 0.05, 0.95, 0.05, 4),
            *prose("left", 0.05, 0.48, 0.3),
            *prose("right", 0.52, 0.95, 0.3),
            *prose("bottom", 0.05, 0.95, 0.6, 4),
        ]

        assert read(lines) == [one.text for one in lines]

    def test_loses_no_line_that_reaches_into_the_gap(self):
        lines = [*prose("left", 0.05, 0.40, 0.1), line("left long one in here", 0.05, 0.28, 0.46)]
        lines += prose("right", 0.52, 0.95, 0.1, 7)

        assert read(lines) == [one.text for one in lines]

    def test_keeps_the_cells_of_a_table_in_rows(self):
        lines = [
            line(text, x0, 0.1 + 0.04 * row, x0 + 0.1)
            for row in range(6)
            for text, x0 in ((f"name {row}", 0.1), (f"{row}", 0.4), (f"{row} kg", 0.7))
        ]

        assert read(lines) == [one.text for one in lines]

    def test_keeps_a_table_with_one_column_of_prose_in_rows(self):
        lines = [
            piece
            for row in range(6)
            for piece in (
                line(f"{row}", 0.1, 0.1 + 0.04 * row, 0.13),
                line(f"what row {row} means in words", 0.3, 0.1 + 0.04 * row, 0.9),
            )
        ]

        assert read(lines) == [one.text for one in lines]

    def test_takes_uneven_heights_for_one_row(self):
        lines = [line("tall", 0.1, 0.1, 0.2, 0.04), line("small", 0.3, 0.11, 0.4), line("next", 0.1, 0.15, 0.2)]

        assert read(lines) == ["tall", "small", "next"]
