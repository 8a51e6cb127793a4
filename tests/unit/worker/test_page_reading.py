"""OCR lines become paragraphs, headings and table rows with boxes on their page."""

from __future__ import annotations

from gpu_worker.page_reading import blocks_of
from inference.values import Anchor, Box, LayoutRegion, PageReading, TextLine


def line(text: str, x0: float, y0: float, x1: float, *, height: float = 0.02, confidence: float = 0.9) -> TextLine:
    return TextLine(text=text, box=Box(x0=x0, y0=y0, x1=x1, y1=y0 + height), confidence=confidence)


def region(label: str, x0: float, y0: float, x1: float, y1: float) -> LayoutRegion:
    return LayoutRegion(label=label, box=Box(x0=x0, y0=y0, x1=x1, y1=y1), confidence=0.9)


PAGE = Anchor(page=2)


class TestBlocksOf:
    def test_join_lines_of_a_paragraph_and_part_them_at_a_gap(self) -> None:
        reading = PageReading(
            lines=(
                line("First line", 0.1, 0.1, 0.8),
                line("second line.", 0.1, 0.125, 0.7),
                line("Next.", 0.1, 0.2, 0.8),
            )
        )

        blocks = blocks_of(reading, (), PAGE)

        assert [block.text for block in blocks] == ["First line\nsecond line.", "Next."]
        assert blocks[0].anchor.as_json() == {"page": 2, "box": [0.1, 0.1, 0.8, 0.145]}

    def test_keep_the_rows_of_a_table_as_rows(self) -> None:
        lines = tuple(
            line(text, x0, 0.1 + 0.04 * row, x0 + 0.1)
            for row, cells in enumerate((("Crane", "Load"), ("Martha", "12 t"), ("Heron", "35 t")))
            for text, x0 in zip(cells, (0.1, 0.5), strict=True)
        )

        (block,) = blocks_of(PageReading(lines=lines), (), PAGE)

        assert (block.role, block.text) == ("table", "Crane | Load\nMartha | 12 t\nHeron | 35 t")

    def test_two_columns_of_running_text_are_no_table(self) -> None:
        lines = tuple(
            line(f"{side} {row}", x0, 0.1 + 0.025 * row, x0 + 0.4)
            for side, x0 in (("left", 0.05), ("right", 0.55))
            for row in range(4)
        )

        blocks = blocks_of(PageReading(lines=lines), (), PAGE)

        assert {block.role for block in blocks} == {"paragraph"}
        assert blocks[0].text.startswith("left 0\nleft 1")

    def test_layout_orders_columns_and_names_headings(self) -> None:
        lines = (
            line("The storm", 0.1, 0.05, 0.5),
            line("left 1", 0.1, 0.1, 0.45),
            line("right 1", 0.55, 0.1, 0.9),
            line("left 2", 0.1, 0.125, 0.45),
            line("right 2", 0.55, 0.125, 0.9),
        )
        regions = (
            region("title", 0.05, 0.04, 0.6, 0.08),
            region("text", 0.05, 0.09, 0.5, 0.2),
            region("text", 0.52, 0.09, 0.95, 0.2),
        )

        blocks = blocks_of(PageReading(lines=lines), regions, PAGE)

        assert [(block.role, block.text) for block in blocks] == [
            ("heading", "The storm"),
            ("paragraph", "left 1\nleft 2"),
            ("paragraph", "right 1\nright 2"),
        ]
        assert blocks[1].heading_path == ("The storm",)

    def test_drop_what_was_hardly_read(self) -> None:
        reading = PageReading(lines=(line("~~", 0.1, 0.1, 0.2, confidence=0.2), line("clear", 0.1, 0.3, 0.4)))

        assert [block.text for block in blocks_of(reading, (), PAGE)] == ["clear"]

    def test_text_in_a_picture_on_a_page_is_boxed_on_the_page(self) -> None:
        anchor = Anchor(page=1, box=Box(x0=0.5, y0=0.5, x1=1.0, y1=1.0))

        (block,) = blocks_of(PageReading(lines=(line("label", 0.0, 0.0, 1.0, height=0.5),)), (), anchor)

        assert block.anchor.as_json()["box"] == [0.5, 0.5, 1.0, 0.75]

    def test_text_in_a_video_frame_is_anchored_at_its_second(self) -> None:
        (block,) = blocks_of(PageReading(lines=(line("slide", 0.1, 0.1, 0.5),)), (), Anchor(frame_s=12.5))

        assert block.anchor.as_json() == {"frame_s": 12.5}
