"""Labels of documents as somebody types or sends them."""

from __future__ import annotations

import datetime as dt

import pytest

from core.access.errors import Invalid
from core.documents.labels import labels_apply, metadata_value_read
from core.documents.models import Document


class TestAValueAsTyped:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("2021", 2021),
            ("2.5", 2.5),
            ("true", True),
            ('"2021"', "2021"),
            ("007", "007"),
            ("2021-03-12", "2021-03-12"),
            ("Ada Lovelace", "Ada Lovelace"),
            ("null", "null"),
            ("[1]", "[1]"),
            ("", ""),
        ],
    )
    def test_is_a_number_a_truth_or_a_text(self, written, meant):
        assert metadata_value_read(written) == meant
        assert type(metadata_value_read(written)) is type(meant)


class TestApplying:
    def test_what_is_left_out_stays(self):
        document = Document(tags=["a"], metadata={"x": 1}, date=dt.date(2021, 3, 12))

        labels_apply(document, {"metadata": {"y": "2"}})

        assert (document.tags, document.metadata, document.date) == (["a"], {"x": 1, "y": "2"}, dt.date(2021, 3, 12))

    def test_tags_lose_their_repeats_and_a_date_may_go(self):
        document = Document(date=dt.date(2021, 3, 12))

        labels_apply(document, {"tags": [" a ", "b", "a"], "date": None})

        assert (document.tags, document.date) == (["a", "b"], None)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"tags": [""]},
            {"tags": ["\x00"]},
            {"tags": [str(number) for number in range(51)]},
            {"metadata": {"x": float("inf")}},
            {"metadata": {"x": 10**18}},
            {"metadata": {"x": "y" * 513}},
            {"metadata": {"": 1}},
            {"date": "2021-02-30"},
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong):
        with pytest.raises(Invalid):
            labels_apply(Document(), wrong)
