from __future__ import annotations

import numpy as np
import pytest

from benchmarks.picture_calibration import NEVER, threshold
from benchmarks.picture_scoring import Labels, checked
from inference.preprocessing.barcode import barcode_read
from inference.preprocessing.picture_sentences import CANNOT_TELL, answer, caption
from inference.values import PictureFact

NAMES = (
    "kind", "table", "photo", "signature", "barcode", "orientation", "content", "chart", "code", "text", "colours",
    "brightness",
)  # fmt: skip


def facts(**known):
    stated = {name: PictureFact(name=name, value="unknown", confidence=0.0) for name in NAMES}
    stated |= {name: PictureFact(name=name, value=value, confidence=0.91) for name, value in known.items()}
    return stated


class TestCaption:
    def test_names_a_chart_and_the_missing_table(self):
        said = caption(facts(kind="chart", chart="line chart", table="no", photo="no", text="Depth of the harbour"))

        assert said == "Likely a line chart (0.91). No table seen. It holds text."

    def test_says_what_is_on_a_page(self):
        said = caption(facts(kind="letter", signature="yes", table="no", orientation="upright"))

        assert said == "Likely a letter (0.91). A signature is seen (0.91). No table seen."

    def test_says_which_way_up_only_where_it_is_turned(self):
        turned = facts(kind="form", orientation="upright after a clockwise turn of 90 degrees")

        assert caption(turned) == "Likely a form (0.91). Upright after a clockwise turn of 90 degrees."

    def test_does_not_speak_of_tables_in_photographs(self):
        said = caption(facts(kind="photograph", content="tabby (cat), an animal", table="no", photo="yes"))

        assert said == "Likely a photograph of: tabby (cat), an animal (0.91)."

    def test_quotes_a_barcode_that_was_read(self):
        assert 'The barcode reads "4006381333931".' in caption(facts(barcode="yes", code="4006381333931"))

    def test_claims_nothing_where_nothing_is_known(self):
        assert caption(facts()) == "A picture whose content is not known."


class TestAnswer:
    @pytest.mark.parametrize(
        ("question", "said"),
        [
            ("What kind of document is this?", "Likely an invoice or receipt (0.91)."),
            ("Is there a table?", "A table is seen (0.91)."),
            ("Has it been signed?", "No signature seen (0.91)."),
            ("What does the QR code read?", 'The barcode reads "pier-9".'),
            ("Is the page upright?", "It is likely upright (0.91)."),
            ("Is there a photo?", "No photograph seen (0.91)."),
        ],
    )
    def test_comes_from_the_facts(self, question, said):
        known = facts(
            kind="invoice or receipt", table="yes", signature="no", barcode="yes", code="pier-9", photo="no",
            orientation="upright",
        )  # fmt: skip

        assert answer(question, (), known) == said

    @pytest.mark.parametrize("question", ["Is there a signature?", "Which colours are there?", "Who wrote it?"])
    def test_is_refused_where_they_are_unknown(self, question):
        assert answer(question, (), facts(kind="letter")) == CANNOT_TELL


class TestThreshold:
    def test_lies_above_the_last_wrong_statement_that_costs_too_much(self):
        shares = np.linspace(0.99, 0.6, 40, dtype=np.float32)
        right = np.array([True] * 30 + [False] * 10)

        found = threshold(shares, right, 0.9)

        assert right[shares >= found].mean() >= 0.9
        assert found < shares[28]

    def test_is_out_of_reach_where_too_few_were_seen(self):
        assert threshold(np.full(5, 0.99, np.float32), np.ones(5, bool), 0.5) == NEVER


class TestScoring:
    LABELS = Labels(
        kinds=["photograph"], table="no", photo="yes", signature="no", chart="no", barcode="unclear", orientation="0",
        objects=["dog"], colours=["brown"], text="no", words=[],
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "value", "verdict"),
        [
            ("kind", "photograph", "true"),
            ("kind", "document page", "false"),
            ("content", "dog, an animal", "true"),
            ("content", "husky (dog), an animal", "false"),
            ("table", "no", "true"),
            ("chart", "line chart", "false"),
            ("barcode", "yes", "not checkable"),
            ("orientation", "upright after a clockwise turn of 90 degrees", "false"),
            ("colours", "brown and white", "true"),
            ("colours", "green and white", "false"),
            ("text", "Pier 9", "false"),
        ],
    )
    def test_checks_a_statement(self, name, value, verdict):
        (found,) = checked([PictureFact(name=name, value=value, confidence=0.9)], self.LABELS)

        assert found.verdict == verdict

    def test_takes_unknown_for_no_statement(self):
        assert checked([PictureFact(name="kind", value="unknown", confidence=0.0)], self.LABELS) == []


class TestBarcode:
    def test_reads_a_code_that_was_drawn(self):
        import cv2

        code = np.asarray(cv2.QRCodeEncoder.create().encode("pier-9"))
        page = np.full((400, 500, 3), 255, np.uint8)
        page[80:280, 120:320] = cv2.resize(code, (200, 200), interpolation=cv2.INTER_NEAREST)[..., None]

        assert barcode_read(page) == "pier-9"

    @pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (300, 400, 3)])
    def test_finds_none_on_an_empty_page(self, shape):
        assert barcode_read(np.full(shape, 255, np.uint8)) is None
