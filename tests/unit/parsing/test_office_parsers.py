"""docx, xlsx, pptx: document order, cells as people see them, boxes of shapes."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import random
import zipfile

import docx
import openpyxl
import pptx
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.drawing.image import Image
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from inference.errors import DamagedFile, EmptyInput, LimitExceeded
from inference.parsing.base import Limits
from inference.parsing.office_xlsx import shown
from inference.values import Anchor, Box


def found(parsed, text):
    return next(block for block in parsed.extraction.blocks if text in block.text)


@pytest.fixture
def saved(tmp_path):
    def saving(name, document):
        path = tmp_path / name
        document.save(str(path))
        return path

    return saving


class TestDocx:
    def test_keeps_document_order_headings_lists_and_tables(self, read, saved, picture_bytes):
        document = docx.Document()
        document.add_heading("Quay log", 0)
        document.add_heading("Tides", 1)
        document.add_paragraph("The spring tide rises 4.2 m.")
        document.add_paragraph("one", style="List Bullet")
        table = document.add_table(rows=3, cols=2)
        for row, values in enumerate([("crane", "load"), ("big", "40 t"), ("", "38 t")]):
            for column, value in enumerate(values):
                table.cell(row, column).text = value
        table.cell(1, 0).merge(table.cell(2, 0))
        document.add_picture(io.BytesIO(picture_bytes()))
        document.add_heading("Ropes", 2)
        document.add_paragraph("Hemp.")
        document.sections[0].header.paragraphs[0].text = "Header of the quay"

        parsed = read(saved("a.docx", document))

        assert [(block.text, block.role) for block in parsed.extraction.blocks] == [
            ("Quay log", "heading"),
            ("Tides", "heading"),
            ("The spring tide rises 4.2 m.", "paragraph"),
            ("- one", "list"),
            ("crane | load\nbig | 40 t\nbig | 38 t", "table"),
            ("Ropes", "heading"),
            ("Hemp.", "paragraph"),
            ("Header of the quay", "paragraph"),
        ]
        assert found(parsed, "Hemp").heading_path == ("Quay log", "Tides", "Ropes")
        assert found(parsed, "Header").heading_path == ()
        picture = parsed.extraction.pictures[0]
        assert found(parsed, "40 t").anchor.end_char < picture.anchor.start_char
        assert picture.anchor.end_char < found(parsed, "Ropes").anchor.start_char

    def test_reads_links_insertions_boxes_and_notes_but_no_deletions(self, read, saved):
        document = docx.Document()
        paragraph = document.add_paragraph("Start ")
        w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        for markup in (
            "<w:hyperlink><w:r><w:t>linked</w:t></w:r></w:hyperlink>",
            '<w:ins w:id="1"><w:r><w:t xml:space="preserve"> inserted</w:t></w:r></w:ins>',
            '<w:del w:id="2"><w:r><w:delText>deleted</w:delText></w:r></w:del>',
            "<w:r><w:pict><w:txbxContent><w:p><w:r><w:t>boxed words</w:t></w:r></w:p></w:txbxContent></w:pict></w:r>",
        ):
            paragraph._p.append(docx.oxml.parse_xml(markup.replace(">", f' xmlns:w="{w}">', 1)))
        document.add_comment(paragraph.runs, text="A remark", author="Bo")

        parsed = read(saved("a.docx", document))

        assert [block.text for block in parsed.extraction.blocks] == [
            "Start linked inserted",
            "boxed words",
            "A remark",
        ]

    @pytest.mark.parametrize("seed", range(10))
    def test_counts_characters_exactly(self, seed, read, saved, picture_bytes):
        chance = random.Random(seed)
        document = docx.Document()
        document.add_paragraph("start")
        for number in range(15):
            text = "".join(chance.choice(["tide ", "\t", "\n", "é", "漢", "𝔘", "  "]) for _ in range(15))
            match chance.randrange(4):
                case 0:
                    document.add_heading(text, chance.randint(1, 4))
                case 1:
                    document.add_table(1, 2).cell(0, 1).text = text
                case 2:
                    document.add_picture(io.BytesIO(picture_bytes(number)))
                case _:
                    document.add_paragraph(text)

        assert read(saved("a.docx", document)).extraction.blocks

    def test_without_content_is_empty(self, read, saved):
        with pytest.raises(EmptyInput, match=r"a\.docx"):
            read(saved("a.docx", docx.Document()))


class TestXlsx:
    def test_cells_keep_their_range_and_look(self, read, saved, picture_bytes):
        book = openpyxl.Workbook()
        sheet = book.active
        sheet.title = "Loads"
        sheet.append(["Harbour loads"])
        sheet.append(["crane", "day", "share", "price"])
        for row in range(3, 43):
            sheet.append([f"crane {row}", dt.date(2026, 3, 5), 0.125, 1234.5])
            sheet.cell(row, 3).number_format = "0.0%"
            sheet.cell(row, 4).number_format = '#,##0.00\\ "€"'
        sheet.merge_cells("A3:A4")
        sheet.add_image(Image(io.BytesIO(picture_bytes())), "H3")
        chart = BarChart()
        chart.title = "Price per crane"
        chart.add_data(Reference(sheet, min_col=4, min_row=2, max_row=9), titles_from_data=True)
        sheet.add_chart(chart, "H20")
        book.create_sheet("Nothing")
        book.create_sheet("Far")["C9"] = "far fact"

        parsed = read(saved("a.xlsx", book))

        blocks = parsed.extraction.blocks
        assert (blocks[0].text, blocks[0].role) == ("Harbour loads", "heading")
        assert blocks[1].anchor == Anchor(sheet="Loads", cells="A2:D31")
        assert blocks[2].anchor == Anchor(sheet="Loads", cells="A32:D42")
        assert blocks[1].heading_path == ("Loads", "Harbour loads")
        assert blocks[1].text.split("\n")[:3] == [
            "crane | day | share | price",
            "crane 3 | 2026-03-05 | 12.5% | 1,234.50 €",
            "crane 3 | 2026-03-05 | 12.5% | 1,234.50 €",
        ]
        assert blocks[2].text.split("\n")[:2] == [
            "crane | day | share | price",
            "crane 32 | 2026-03-05 | 12.5% | 1,234.50 €",
        ]
        assert found(parsed, "Price per crane").anchor == Anchor(sheet="Loads", cells="H20:H20")
        assert found(parsed, "far fact").anchor == Anchor(sheet="Far", cells="C9:C9")
        assert [picture.anchor.cells for picture in parsed.extraction.pictures] == ["H3:H3"]

    @pytest.mark.parametrize(
        ("value", "number_format", "seen"),
        [
            (3, "General", "3"),
            (0.1 + 0.2, "General", "0.3"),
            (True, "General", "TRUE"),
            (1234.567, "#,##0.0", "1,234.6"),
            (-5.5, "0.00;(0.00)", "(5.50)"),
            (0.5, "0%", "50%"),
            (7, "000", "007"),
            (12.5, "[$$-409]#,##0.00", "$12.50"),
            (1e-9, "0.00E+00", "1e-09"),
            (dt.datetime.fromisoformat("2026-03-05 14:30"), "yyyy", "2026-03-05 14:30"),
            (dt.time(14, 30), "h:mm", "14:30:00"),
            ("two\nlines", "General", "two lines"),
        ],
    )
    def test_values_are_shown_as_people_see_them(self, value, number_format, seen):
        assert shown(value, number_format) == seen

    def test_without_cells_is_empty(self, read, saved):
        with pytest.raises(EmptyInput):
            read(saved("a.xlsx", openpyxl.Workbook()))


@pytest.fixture
def slides(saved, picture_bytes):
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Tides"
    first.placeholders[1].text = "spring\nneap"
    first.notes_slide.notes_text_frame.text = "Greet the pilot."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Loads"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1.5), Inches(5), Inches(3)).table
    for place, value in {(0, 0): "crane", (0, 1): "load", (1, 0): "big", (1, 1): "40 t"}.items():
        table.cell(*place).text = value
    data = CategoryChartData()
    data.categories = ["Mon", "Tue"]
    data.add_series("Ships", (3, 4.5))
    chart = second.shapes.add_chart(XL_CHART_TYPE.LINE, Inches(1), Inches(5), Inches(4), Inches(2), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Ships per day"
    second.shapes.add_picture(io.BytesIO(picture_bytes()), Inches(5), 0, Inches(5), Inches(7.5))
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(Inches(2), Inches(6), Inches(2), Inches(1.5)).text_frame.text = "grouped"
    deck.slides.add_slide(deck.slide_layouts[6])
    return saved("a.pptx", deck)


class TestPptx:
    def test_slides_are_pages_with_boxes(self, read, slides):
        parsed = read(slides)

        assert [(block.anchor.page, block.text, block.role) for block in parsed.extraction.blocks] == [
            (1, "Tides", "heading"),
            (1, "- spring\n- neap", "list"),
            (1, "Greet the pilot.", "paragraph"),
            (2, "Loads", "heading"),
            (2, "crane | load\nbig | 40 t", "table"),
            (2, "Ships per day", "caption"),
            (2, "| Ships\nMon | 3\nTue | 4.5", "table"),
            (2, "grouped", "paragraph"),
        ]
        assert found(parsed, "40 t").anchor.box == Box(x0=0.1, y0=0.2, x1=0.6, y1=0.6)
        assert found(parsed, "40 t").heading_path == ("Loads",)
        assert found(parsed, "grouped").anchor.box == Box(x0=0.2, y0=0.8, x1=0.4, y1=1.0)
        assert parsed.extraction.pictures[0].anchor == Anchor(page=2, box=Box(x0=0.5, y0=0.0, x1=1.0, y1=1.0))

    def test_a_range_reads_its_slides_alone(self, read, slides):
        whole = read(slides).extraction.blocks
        ranges = [read(slides, first_unit=unit, last_unit=unit).extraction.blocks for unit in (1, 2, 3)]

        assert sum(ranges, ()) == whole
        assert ranges[2] == ()

    def test_a_sheet_put_on_a_slide_is_a_file_inside(self, read, saved):
        workbook = openpyxl.Workbook()
        workbook.active.append(["Crane", "12 t"])
        workbook_path = saved("inner.xlsx", workbook)
        deck = pptx.Presentation()
        slide = deck.slides.add_slide(deck.slide_layouts[6])
        slide.shapes.add_ole_object(str(workbook_path), "Excel.Sheet.12", Inches(1), Inches(1))

        parsed = read(saved("a.pptx", deck))

        ((name, artefact),) = parsed.extraction.attachments
        assert name.startswith("slide-1-")
        assert parsed.artefacts[artefact] == workbook_path.read_bytes()

    def test_without_content_is_empty(self, read, saved):
        deck = pptx.Presentation()
        deck.slides.add_slide(deck.slide_layouts[6])

        with pytest.raises(EmptyInput):
            read(saved("a.pptx", deck))


def filled(extension, saved):
    match extension:
        case "docx":
            document = docx.Document()
            document.add_paragraph("tide")
        case "xlsx":
            document = openpyxl.Workbook()
            document.active["A1"] = "tide"
        case _:
            document = pptx.Presentation()
            document.slides.add_slide(document.slide_layouts[0]).shapes.title.text = "tide"
    return saved(f"a.{extension}", document)


@pytest.mark.parametrize("extension", ["docx", "xlsx", "pptx"])
class TestBrokenOfficeFiles:
    def test_cut_off_is_damaged(self, extension, read, saved):
        path = filled(extension, saved)
        path.write_bytes(path.read_bytes()[:-300])

        with pytest.raises(DamagedFile, match=rf"a\.{extension}"):
            read(path)

    def test_another_zip_is_damaged(self, extension, read, tmp_path):
        path = tmp_path / f"a.{extension}"
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("readme.txt", "hello")

        with pytest.raises(DamagedFile, match=rf"a\.{extension}"):
            read(path)

    def test_no_bytes_is_empty(self, extension, read, tmp_path):
        path = tmp_path / f"a.{extension}"
        path.touch()

        with pytest.raises(EmptyInput):
            read(path)

    def test_a_bomb_is_refused_before_it_unpacks(self, extension, read, saved):
        path = filled(extension, saved)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as package:
            package.writestr("docProps/zeros.bin", bytes(4_000_000))

        with pytest.raises(LimitExceeded, match="3000000"):
            read(path, limits=Limits(unpacked_bytes=3_000_000))

    def test_entity_declarations_are_refused(self, extension, read, saved):
        path = filled(extension, saved)
        with zipfile.ZipFile(path, "a") as package:
            package.writestr("docProps/x.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')

        with pytest.raises(DamagedFile, match="entities"):
            read(path)

    @pytest.mark.parametrize("seed", range(15))
    def test_flipped_bytes_end_in_a_declared_error_or_a_reading(self, extension, seed, read, saved):
        chance = random.Random(seed)
        path = filled(extension, saved)
        content = bytearray(path.read_bytes())
        for _ in range(30):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(bytes(content))

        with contextlib.suppress(DamagedFile, EmptyInput, LimitExceeded):
            read(path)
