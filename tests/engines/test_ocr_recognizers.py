from __future__ import annotations

import numpy as np
import pytest

from inference.engines.fakes import FakeTextRecognizer, fake_page
from inference.errors import InputRejected
from inference.registry import engine_load
from tests.engines.conformance_ocr import OcrConformance, text_of


class TestFakeTextRecognizer(OcrConformance):
    @pytest.fixture
    def engine(self):
        return FakeTextRecognizer()

    @pytest.fixture
    def pages(self):
        return [fake_page(["The ferry leaves at seven.", "Tickets at the kiosk."]), fake_page(["Alder Park 1931"])]

    def test_reads_the_lines_that_were_drawn(self, engine, pages):
        assert [text_of(reading) for reading in engine.read(pages)] == [
            ["The ferry leaves at seven.", "Tickets at the kiosk."],
            ["Alder Park 1931"],
        ]


@pytest.fixture(scope="module")
def rapidocr(model_folder):
    return engine_load("rapidocr", [model_folder("pp-ocrv6"), model_folder("page-orientation")], threads=2)


@pytest.mark.weights
class TestRapidOcrRecognizer(OcrConformance):
    @pytest.fixture
    def engine(self, rapidocr):
        return rapidocr

    @pytest.fixture
    def pages(self, picture):
        return [picture("page_columns.png"), picture("page_table.png")]

    def test_reads_one_column_after_the_other_below_the_title(self, engine, pages):
        (reading,) = engine.read(pages[:1])

        text = " ".join(text_of(reading))
        assert text.startswith("Timetable of the Island Ferry, Summer Season The ferry to Tarn Island")
        assert "leaves the north pier every morning at a quarter past seven." in text
        assert text.index("calm weather.") < text.index("Tickets are sold at the blue kiosk beside the lighthouse")
        assert text.endswith("valid for a week.")

    @pytest.mark.parametrize("name", ["page_table.png", "page_skewed.png"])
    def test_keeps_the_cells_of_a_row_together(self, engine, picture, name):
        (reading,) = engine.read([picture(name)])

        cells = text_of(reading)
        assert cells[0] == "Depth of the underground stations"
        assert [cells[start : start + 3] for start in range(1, 19, 3)] == [
            ["Station", "Opened", "Depth"],
            ["Alder Park", "1931", "18 m"],
            ["Quarry Lane", "1954", "27 m"],
            ["Mill Bridge", "1968", "22 m"],
            ["Harbour", "2003", "35 m"],
            ["Observatory", "2011", "41 m"],
        ]

    @pytest.mark.parametrize(("name", "rotation_deg"), [("page_turned_90.png", 270), ("page_turned_180.png", 180)])
    def test_reads_a_page_that_was_scanned_on_its_side(self, engine, pages, picture, name, rotation_deg):
        upright, turned = engine.read([pages[0], picture(name)])

        assert text_of(turned) == text_of(upright)
        assert turned.rotation_deg == rotation_deg

    def test_anchors_a_line_where_it_stands(self, engine, pages):
        (reading,) = engine.read(pages[1:])

        (cell,) = [line for line in reading.lines if line.text == "Mill Bridge"]
        height_px, width_px = pages[1].shape[:2]
        assert np.allclose(
            [cell.box.x0 * width_px, cell.box.y0 * height_px, cell.box.y1 * height_px], [80, 310, 340], atol=8
        )

    def test_reads_a_single_line_that_is_much_wider_than_high(self, engine, pages):
        (reading,) = engine.read([pages[0][30:90]])

        assert text_of(reading) == ["Timetable of the Island Ferry, Summer Season"]
        assert reading.rotation_deg == 0

    def test_refuses_a_folder_without_models_instead_of_downloading_them(self, tmp_path):
        with pytest.raises(InputRejected, match="fetch the models"):
            engine_load("rapidocr", [tmp_path], threads=1)
