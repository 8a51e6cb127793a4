from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from inference.engines.fakes import FakeVisionDescriber
from inference.errors import InputRejected
from inference.preprocessing.picture_measure import bars_find
from inference.registry import engine_load
from tests.engines.conformance_vision import VisionConformance, ask


def chart(lengths, *, lying=False, gap_px=20, colour=(46, 100, 144)):
    """Draw bars of the given lengths on axes, upright or lying."""
    picture = Image.new("RGB", (600, 400), "white")
    draw = ImageDraw.Draw(picture)
    draw.line([(39, 20), (39, 360), (580, 360)], fill="black", width=1)
    for number, length in enumerate(lengths):
        start = 60 + number * (40 + gap_px)
        if lying:
            draw.rectangle([40, start - 40, 40 + length, start - 1], fill=colour)
        else:
            draw.rectangle([start, 359 - length, start + 39, 359], fill=colour)
    return np.asarray(picture)


def jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    file.seek(0)
    return np.asarray(Image.open(file).convert("RGB"))


class TestFakeVisionDescriber(VisionConformance):
    @pytest.fixture
    def engine(self):
        return FakeVisionDescriber()

    @pytest.fixture
    def pictures(self):
        return [np.full((8, 8, 3), colour, np.uint8) for colour in [(220, 30, 30), (40, 60, 220)]]


class TestBarsFind:
    @pytest.mark.parametrize("lengths", [(50, 120, 200), (200, 10, 90, 300), (30, 60, 90, 120, 150, 180, 210, 240)])
    def test_counts_upright_bars(self, lengths):
        bars = bars_find(chart(lengths))

        assert bars is not None
        assert (bars.count, bars.direction) == (len(lengths), "vertical")

    def test_counts_lying_bars(self):
        bars = bars_find(chart((150, 400, 90, 220), lying=True))

        assert bars is not None
        assert (bars.count, bars.direction) == (4, "horizontal")

    def test_counts_the_same_after_a_lossy_encoding(self):
        assert bars_find(jpeg(chart((50, 120, 200, 90)), 75)) == bars_find(chart((50, 120, 200, 90)))

    def test_two_bars_are_no_clear_chart(self):
        assert bars_find(chart((50, 120))) is None

    def test_cells_of_equal_size_are_no_bars(self):
        assert bars_find(chart((30, 30, 30, 30))) is None

    def test_stacked_bars_are_left_alone(self):
        stacked = chart((200, 260, 300)).copy()
        stacked[stacked.shape[0] - 41 - 100 : stacked.shape[0] - 41][
            (stacked[stacked.shape[0] - 41 - 100 : stacked.shape[0] - 41] == (46, 100, 144)).all(axis=2)
        ] = (220, 120, 30)

        assert bars_find(stacked) is None

    def test_a_missing_bar_makes_the_number_unknown(self):
        gap = chart((50, 120, 200, 90, 170)).copy()
        gap[:, 175:225] = 255

        assert bars_find(gap) is None

    def test_a_photograph_has_no_bars(self, picture):
        assert bars_find(picture("espresso.jpg")) is None

    def test_a_page_of_text_has_no_bars(self, picture):
        assert bars_find(picture("page_table.png")) is None


@pytest.fixture(scope="module")
def composed(model_folder):
    return engine_load("composed_describer", [model_folder("efficientnet-lite0")], threads=1)


def stated(description):
    return {fact.name: fact.value for fact in description.facts}


def caption(engine, image, **request):
    return engine.describe([ask(image, **request)])[0].caption


@pytest.mark.weights
class TestComposedDescriber(VisionConformance):
    @pytest.fixture
    def engine(self, composed):
        return composed

    @pytest.fixture
    def pictures(self, picture):
        return [picture("cat.jpg"), picture("espresso.jpg"), chart((50, 120, 200))]

    def test_says_that_it_composed(self, engine, pictures):
        assert engine.describe([ask(pictures[0])])[0].engine == "composed_describer"

    def test_names_what_a_photograph_shows(self, engine, pictures):
        assert "cat" in caption(engine, pictures[0])
        assert "photograph" in caption(engine, pictures[1])

    def test_names_a_bar_chart_and_not_an_object_in_it(self, engine, pictures):
        assert caption(engine, pictures[2]).startswith("Likely a bar chart with 3 vertical bars (0.95).")

    def test_says_nothing_about_what_it_does_not_know(self, engine):
        noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
        described = engine.describe([ask(noise)])[0]

        assert "not known" in described.caption
        assert {fact.name: fact.value for fact in described.facts}["content"] == "unknown"

    def test_names_no_object_on_a_page_of_text(self, engine, picture):
        described = engine.describe([ask(picture("page_columns.png"))])[0]

        assert {fact.name: fact.value for fact in described.facts}["content"] == "unknown"

    def test_says_the_same_of_a_picture_that_was_encoded_again(self, engine, pictures):
        assert [caption(engine, jpeg(image, 80)) for image in pictures] == [
            caption(engine, image) for image in pictures
        ]

    def test_takes_a_page_with_a_small_logo_for_more_than_black_and_white(self, engine, picture):
        plain = np.asarray(picture("page_columns.png"))
        marked = plain.copy()
        marked[20:60, 20:60] = (200, 30, 40)

        assert stated(engine.describe([ask(plain)])[0])["colours"] == "black and white"
        assert stated(engine.describe([ask(marked)])[0])["colours"] != "black and white"

    def test_leaves_out_text_that_was_hardly_read(self, engine, pictures):
        request = ask(pictures[0], text="SHOULD NOT APPEAR")
        unsure = type(request.lines[0])(text="SHOULD NOT APPEAR", box=request.lines[0].box, confidence=0.3)

        described = engine.describe([type(request)(image=request.image, lines=(unsure,))])[0]

        assert "SHOULD NOT APPEAR" not in described.caption

    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("How many bars does the chart have?", "Likely a bar chart with 3 vertical bars (0.95)."),
            ("Which colours are there?", "The colours are blue."),
            ("What does the sign say?", 'The text in the picture reads: "Pier 9 closes at dusk".'),
            ("When does the pier close?", 'A line in the picture reads: "Pier 9 closes at dusk".'),
        ],
    )
    def test_answers_from_its_facts(self, engine, pictures, question, answer):
        assert caption(engine, pictures[2], text="Pier 9 closes at dusk", question=question) == answer

    @pytest.mark.parametrize("question", ["Who painted this?", "What does the barcode read?", "Is the man angry?"])
    def test_says_that_it_cannot_tell(self, engine, pictures, question):
        assert "cannot be told" in caption(engine, pictures[0], question=question)

    @pytest.mark.parametrize("question", ["How many bars are there?", "Is there a signature?", "Is there a table?"])
    def test_says_what_is_not_in_a_photograph(self, engine, pictures, question):
        assert caption(engine, pictures[0], question=question).startswith("No ")

    def test_tells_a_page_of_text_from_a_photograph(self, engine, picture):
        page, photograph = engine.describe([ask(picture("page_columns.png")), ask(picture("rocket.jpg"))])

        assert (stated(page)["photo"], stated(photograph)["photo"]) == ("no", "yes")
        assert stated(photograph)["kind"] == "photograph" != stated(page)["kind"]

    def test_refuses_options(self, model_folder):
        with pytest.raises(InputRejected, match="style"):
            engine_load("composed_describer", [model_folder("efficientnet-lite0")], threads=1, options={"style": 1})
