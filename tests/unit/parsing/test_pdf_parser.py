"""PDF pages become text in reading order with its places, tables as rows, and pictures where there is no text."""

import io
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from inference.errors import DamagedFile, EncryptedFile
from inference.parsing import pdf
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.values import TextBlock

Read = Callable[..., Parsed]
WIDTH, HEIGHT = 600, 800


class Page:
    """A page in the making; places are points from its top left."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.pictures: dict[str, Image.Image] = {}
        self.rotation = 0

    def text(self, x: float, y: float, words: str, size: float = 11, *, bold: bool = False) -> "Page":
        escaped = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self.content.append(f"BT /{'B' if bold else 'R'} {size} Tf {x} {HEIGHT - y} Td ({escaped}) Tj ET")
        return self

    def lines(self, x: float, y: float, *texts: str, size: float = 11, leading: float = 14) -> "Page":
        for number, words in enumerate(texts):
            self.text(x, y + number * leading, words, size)
        return self

    def rule(self, x0: float, y0: float, x1: float, y1: float) -> "Page":
        self.content.append(f"0.5 w {x0} {HEIGHT - y0} m {x1} {HEIGHT - y1} l S")
        return self

    def picture(self, image: Image.Image, x: float, y: float, width: float, height: float) -> "Page":
        name = f"/I{len(self.pictures)}"
        self.pictures[name] = image
        self.content.append(f"q {width} 0 0 {height} {x} {HEIGHT - y - height} cm {name} Do Q")
        return self


def pdf_write(path: Path, *pages: Page, title: str | None = None, password: str | None = None) -> Path:
    document = pikepdf.new()
    fonts = pikepdf.Dictionary(
        {
            f"/{key}": pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name(f"/{name}")
            )
            for key, name in (("R", "Helvetica"), ("B", "Helvetica-Bold"))
        }
    )
    for page in pages:
        added = document.add_blank_page(page_size=(WIDTH, HEIGHT))
        images = pikepdf.Dictionary()
        for name, image in page.pictures.items():
            stream = pikepdf.Stream(document, image.tobytes())
            stream.Type, stream.Subtype = pikepdf.Name.XObject, pikepdf.Name.Image
            stream.Width, stream.Height = image.size
            stream.ColorSpace, stream.BitsPerComponent = pikepdf.Name.DeviceRGB, 8
            images[name] = stream
        added.Resources = pikepdf.Dictionary(Font=fonts, XObject=images)
        added.Contents = pikepdf.Stream(document, "\n".join(page.content).encode("latin-1"))
        added.Rotate = page.rotation
    if title is not None:
        document.docinfo["/Title"] = title
    encryption = pikepdf.Encryption(owner="o", user=password) if password is not None else None
    document.save(path, encryption=encryption if encryption is not None else False)
    return path


def photograph(width: int = 300, height: int = 200) -> Image.Image:
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.paste((200, 30, 30), (0, 0, width // 4, height))
    return image


def prose(words: str) -> tuple[str, ...]:
    return tuple(f"{words} line {number} of a column that is filled" for number in ("one", "two", "three", "four"))


def roles(parsed: Parsed, role: str) -> list[TextBlock]:
    return [block for block in parsed.extraction.blocks if block.role == role]


class TestText:
    def test_a_paragraph_has_its_page_and_box(self, tmp_path: Path, read: Read) -> None:
        page = Page().lines(60, 200, "The keys are in the shed behind", "the boat house, left of the door.")
        parsed = read(pdf_write(tmp_path / "a.pdf", Page().text(60, 60, "An empty beginning page"), page), first_unit=2)

        (block,) = parsed.extraction.blocks

        assert block.text == "The keys are in the shed behind the boat house, left of the door."
        assert block.anchor.page == 2
        box = block.anchor.box
        assert box is not None
        assert box.x0 == pytest.approx(60 / WIDTH, abs=0.01)
        assert box.y0 == pytest.approx(190 / HEIGHT, abs=0.01)
        assert box.y1 == pytest.approx(217 / HEIGHT, abs=0.01)

    def test_hyphenation_is_undone(self, tmp_path: Path, read: Read) -> None:
        page = Page().lines(60, 200, "The inspection of the light-", "house found three dam-", "aged windows on top.")

        (block,) = read(pdf_write(tmp_path / "a.pdf", page)).extraction.blocks

        assert block.text == "The inspection of the lighthouse found three damaged windows on top."

    def test_columns_are_read_one_after_the_other(self, tmp_path: Path, read: Read) -> None:
        page = Page().text(60, 60, "A title that stands across both of the columns below", 18)
        page.lines(60, 120, *prose("Left"), size=10).lines(320, 120, *prose("Right"), size=10)

        text = " ".join(block.text for block in read(pdf_write(tmp_path / "a.pdf", page)).extraction.blocks)

        words = [
            "A title",
            *(f"{side} line {n}" for side in ("Left", "Right") for n in ("one", "two", "three", "four")),
        ]
        assert [text.index(word) for word in words] == sorted(text.index(word) for word in words)

    def test_columns_of_terms_and_formulas_are_read_one_after_the_other(self, tmp_path: Path, read: Read) -> None:
        page = Page().text(60, 40, "Quick reference of all the commands of the crane", 16)
        for number in range(10):
            page.text(60, 100 + 14 * number, f"left-{number}", 10).text(
                150, 100 + 14 * number, "lifts one crate up", 10
            )
            page.text(330, 93 + 15 * number, f"right-{number}", 10).text(
                420, 93 + 15 * number, "sets one crate off", 10
            )

        text = " ".join(block.text for block in read(pdf_write(tmp_path / "a.pdf", page)).extraction.blocks)

        places = [text.index(f"{side}-{number}") for side in ("left", "right") for number in range(10)]
        assert places == sorted(places)

    def test_running_titles_and_page_numbers_are_no_text(self, tmp_path: Path, read: Read) -> None:
        pages = [
            Page()
            .text(60, 40, f"{number}  HARBOUR OFFICE  Yearly report", 9)
            .lines(60, 100, f"In month {number} the crane lifted", "many crates of tea and of salt", "from the quay.")
            .text(300, 770, str(number), 9)
            for number in range(1, 6)
        ]

        blocks = read(pdf_write(tmp_path / "a.pdf", *pages), first_unit=3, last_unit=3).extraction.blocks

        assert [block.text for block in blocks] == [
            "In month 3 the crane lifted many crates of tea and of salt from the quay."
        ]

    def test_a_running_title_that_changes_with_the_section_is_known_by_its_page_number(
        self, tmp_path: Path, read: Read
    ) -> None:
        sections = ("Salt", "Tea", "Rope", "Tar", "Coal")
        pages = [
            Page()
            .lines(60, 100, f"On {name} the clerk wrote", "that nothing was missing", "from the stores.")
            .text(60, 770, f"Chapter {name}", 9)
            .text(520, 770, str(40 + number), 9)
            for number, name in enumerate(sections)
        ]

        text = " ".join(block.text for block in read(pdf_write(tmp_path / "a.pdf", *pages)).extraction.blocks)

        assert "Chapter" not in text
        assert all(f"On {name}" in text for name in sections)

    def test_first_lines_that_differ_stay(self, tmp_path: Path, read: Read) -> None:
        pages = [
            Page()
            .text(60, 40, f"Notes on {name}", 11)
            .lines(60, 100, "The goods came in time", "and were counted twice", "by the clerk.")
            for name in ("salt", "tea", "rope")
        ]

        text = " ".join(block.text for block in read(pdf_write(tmp_path / "a.pdf", *pages)).extraction.blocks)

        assert all(f"Notes on {name}" in text for name in ("salt", "tea", "rope"))

    def test_headings_enclose_what_follows_over_pages(self, tmp_path: Path, read: Read) -> None:
        first = Page().text(60, 60, "Harbour report", 22).text(60, 100, "Cranes", 15)
        first.lines(60, 130, "All cranes were inspected in May and", "found in order by the office.")
        second = Page().lines(60, 60, "The inspection goes on with the next", "crane on the coal quay.")
        second.text(60, 120, "Roofs", 15).lines(60, 150, "Slates were torn off by the storms", "of the winter.")

        parsed = read(pdf_write(tmp_path / "a.pdf", first, second), first_unit=2)

        assert [(block.role, block.heading_path) for block in parsed.extraction.blocks] == [
            ("paragraph", ("Harbour report", "Cranes")),
            ("heading", ("Harbour report",)),
            ("paragraph", ("Harbour report", "Roofs")),
        ]

    def test_a_turned_page_has_boxes_as_it_is_shown(self, tmp_path: Path, read: Read) -> None:
        page = Page().text(20, 30, "Words at the top left of the paper")
        page.rotation = 90

        parsed = read(pdf_write(tmp_path / "a.pdf", page))

        box = parsed.extraction.blocks[0].anchor.box
        assert box is not None
        assert box.x0 > 0.9
        assert box.y0 < 0.1
        with Image.open(io.BytesIO(parsed.artefacts["page-1.png"])) as image:
            assert image.width > image.height

    def test_the_title_is_the_documents_own(self, tmp_path: Path) -> None:
        path = pdf_write(tmp_path / "a.pdf", Page(), title="Harbour report")

        assert pdf.probe(path, "pdf").title == "Harbour report"


class TestTables:
    ROWS = (("Crane", "Quay", "Load"), ("Old Martha", "North", "12 t"), ("Grey Heron", "Coal", "35 t"))
    TEXT = "Crane | Quay | Load\nOld Martha | North | 12 t\nGrey Heron | Coal | 35 t"

    def test_ruled_cells_become_rows(self, tmp_path: Path, read: Read) -> None:
        page = Page().lines(60, 60, "The cranes of the harbour are listed in", "the table that follows here.")
        for number, row in enumerate(self.ROWS):
            for column, cell in enumerate(row):
                page.text(65 + 120 * column, 115 + 20 * number, cell)
        for y in range(100, 161, 20):
            page.rule(60, y, 420, y)
        for x in range(60, 421, 120):
            page.rule(x, 100, x, 160)

        (table,) = roles(read(pdf_write(tmp_path / "a.pdf", page)), "table")

        assert table.text == self.TEXT
        assert table.anchor.box is not None
        assert table.anchor.box.as_list() == pytest.approx([0.1, 0.125, 0.7, 0.2], abs=0.01)

    def test_aligned_columns_become_rows(self, tmp_path: Path, read: Read) -> None:
        page = Page().lines(60, 60, "The cranes of the harbour are listed in", "the table that follows here.")
        for number, row in enumerate(self.ROWS):
            for column, cell in enumerate(row):
                page.text(65 + 120 * column, 130 + 16 * number, cell)

        parsed = read(pdf_write(tmp_path / "a.pdf", page))

        assert [block.role for block in parsed.extraction.blocks] == ["paragraph", "table"]
        assert parsed.extraction.blocks[1].text == self.TEXT


class TestPictures:
    def test_a_text_page_is_rendered_but_never_read(self, tmp_path: Path, read: Read) -> None:
        parsed = read(pdf_write(tmp_path / "a.pdf", Page().text(60, 60, "A page with words of its own")))

        (picture,) = parsed.extraction.pictures

        assert (picture.origin, picture.needs_ocr) == ("page", False)
        with Image.open(io.BytesIO(parsed.artefacts[picture.artefact])) as image:
            assert image.size == (576, 768)

    def test_a_scan_is_rendered_for_reading(self, tmp_path: Path, read: Read) -> None:
        page = Page().picture(photograph(600, 800), 0, 0, WIDTH, HEIGHT).text(290, 790, "3")

        parsed = read(pdf_write(tmp_path / "a.pdf", page))

        (picture,) = parsed.extraction.pictures
        assert parsed.extraction.blocks == ()
        assert (picture.origin, picture.needs_ocr, picture.needs_caption) == ("page", True, True)
        with Image.open(io.BytesIO(parsed.artefacts[picture.artefact])) as image:
            assert image.size == (1250, 1667)

    def test_a_large_picture_on_a_page_is_its_own(self, tmp_path: Path, read: Read) -> None:
        page = Page().text(60, 60, "The photograph shows the old crane").picture(photograph(), 60, 100, 300, 200)
        page.picture(photograph(20, 20), 500, 20, 20, 20)

        parsed = read(pdf_write(tmp_path / "a.pdf", page))

        render, picture = parsed.extraction.pictures
        assert (render.origin, picture.origin) == ("page", "picture")
        assert (picture.needs_ocr, picture.needs_caption) == (True, True)
        assert picture.anchor.box is not None
        assert picture.anchor.box.as_list() == pytest.approx([0.1, 0.125, 0.6, 0.375], abs=0.01)
        with Image.open(io.BytesIO(parsed.artefacts[picture.artefact])) as image:
            assert image.width == pytest.approx(300, abs=2)
            assert image.getpixel((10, 100))[0] > 150 > image.getpixel((10, 100))[1]

    def test_a_blank_page_gives_nothing(self, tmp_path: Path, read: Read) -> None:
        parsed = read(pdf_write(tmp_path / "a.pdf", Page()))

        assert (parsed.extraction.blocks, parsed.extraction.pictures) == ((), ())

    def test_a_huge_page_stays_below_the_limit_of_pixels(self, tmp_path: Path, read: Read) -> None:
        page = Page().picture(photograph(600, 800), 0, 0, WIDTH, HEIGHT)

        parsed = read(pdf_write(tmp_path / "a.pdf", page), limits=Limits(render_pixels=100_000))

        with Image.open(io.BytesIO(parsed.artefacts["page-1.png"])) as image:
            assert 90_000 < image.width * image.height < 102_000


class TestBrokenFiles:
    def test_a_password_is_asked_for(self, tmp_path: Path) -> None:
        path = pdf_write(tmp_path / "a.pdf", Page().text(60, 60, "Secret words"), password="harbour")

        with pytest.raises(EncryptedFile, match=r"'a\.pdf' needs a password"):
            pdf.probe(path, "pdf")

    def test_an_empty_password_is_no_hindrance(self, tmp_path: Path, read: Read) -> None:
        path = pdf_write(tmp_path / "a.pdf", Page().text(60, 60, "Words that anybody may read"), password="")

        assert read(path).extraction.blocks[0].text == "Words that anybody may read"

    def test_a_broken_index_is_repaired(self, tmp_path: Path, read: Read) -> None:
        path = pdf_write(tmp_path / "a.pdf", Page().text(60, 60, "Words behind a broken index"))
        path.write_bytes(path.read_bytes().replace(b"startxref", b"startxxxx"))

        assert read(path).extraction.blocks[0].text == "Words behind a broken index"

    def test_a_shell_without_pages_is_damaged(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pdf"
        path.write_bytes(b"%PDF-1.7\n1 0 obj\n<< /Type /Nothing >>\nendobj\n")

        with pytest.raises(DamagedFile, match=r"'a\.pdf' is damaged"):
            pdf.probe(path, "pdf")

    def test_ranges_join_to_the_whole(self, tmp_path: Path) -> None:
        pages = [Page().text(60, 60, f"Words of page {number} alone") for number in range(1, 6)]
        path = pdf_write(tmp_path / "a.pdf", *pages)
        info = pdf.probe(path, "pdf")

        whole = pdf.parse(path, info, ParseRequest()).extraction.blocks
        parts = [pdf.parse(path, info, ParseRequest(first_unit=a, last_unit=b)) for a, b in ((1, 2), (3, 9))]

        assert info.units == 5
        assert tuple(block for part in parts for block in part.extraction.blocks) == whole
