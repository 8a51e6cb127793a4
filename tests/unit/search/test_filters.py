"""The filter language: what it takes, what it refuses and with which words, and that values never become SQL."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from core.access.errors import Invalid
from core.search.filters import FIELDS, OPERATORS, Comparison, Compound, filter_all, filter_parse, filter_sql

SOMEBODY = uuid.uuid4()


def one(operator: str, key: str, value: object) -> dict:
    return {"type": operator, "key": key, "value": value}


class TestReading:
    def test_a_comparison_is_read(self):
        assert filter_parse(one("eq", "kind", "table")) == Comparison("eq", "kind", "table")

    def test_and_and_or_nest(self):
        read = filter_parse(
            {
                "type": "and",
                "filters": [
                    one("in", "kind", ["speech", "text"]),
                    {"type": "or", "filters": [one("gte", "metadata.year", 2020), one("eq", "tags", "budget")]},
                ],
            }
        )

        assert isinstance(read, Compound)
        assert [type(inner) for inner in read.filters] == [Comparison, Compound]

    def test_its_text_is_read_too(self):
        assert filter_parse('{"type": "lt", "key": "page", "value": 4}') == Comparison("lt", "page", 4.0)

    def test_ids_and_dates_become_what_they_are(self):
        assert filter_parse(one("eq", "document", str(SOMEBODY))) == Comparison("eq", "document", SOMEBODY)
        assert filter_parse(one("gt", "date", "2021-03-12")) == Comparison("gt", "date", dt.date(2021, 3, 12))

    def test_bare_keys_are_metadata_where_a_client_sends_attributes(self):
        assert filter_parse(one("eq", "region", "us"), attributes=True) == Comparison("eq", "metadata.region", "us")
        assert filter_parse(one("eq", "kind", "text"), attributes=True).key == "kind"

    def test_one_filter_is_joined_to_itself(self):
        kind = Comparison("eq", "kind", "table")

        assert filter_all([]) is None
        assert filter_all([kind]) is kind
        assert filter_all([kind, kind]) == Compound("and", (kind, kind))


class TestRefusing:
    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ([], ["send an object"]),
            ("{", ["not JSON"]),
            (one("like", "kind", "table"), ["'like'", "not an operator", "nin"]),
            (one("eq", "colour", "red"), ["'colour'", "not a field", "media_type", "metadata.KEY"]),
            (one("eq", "metadata.", "red"), ["not a field"]),
            (one("gt", "kind", "table"), ["'gt' of 'kind'", "eq, ne, in, nin"]),
            (one("eq", "kind", "poem"), ["'eq' of 'kind'", "'poem'", "speech"]),
            (one("in", "kind", "table"), ["'in' of 'kind'", "list"]),
            (one("in", "kind", []), ["'in' of 'kind'", "list of 1"]),
            (one("eq", "document", "7"), ["'document'", "not an id"]),
            (one("gte", "date", "yesterday"), ["'gte' of 'date'", "YYYY-MM-DD"]),
            (one("gte", "page", "three"), ["'gte' of 'page'", "number"]),
            (one("in", "time_s", [3]), ["'in' of 'time_s'"]),
            (one("gt", "metadata.author", "bob"), ["'gt' of 'metadata.author'", "numbers and dates", "'bob'"]),
            (one("gt", "metadata.open", value=True), ["'gt' of 'metadata.open'"]),
            (one("eq", "metadata.list", [1]), ["'metadata.list'", "text, a number"]),
            (one("eq", "metadata.number", float("nan")), ["'metadata.number'"]),
            ({"type": "and", "filters": []}, ["'and'", "at least one"]),
            ({"type": "or", "filters": [3]}, ["send an object"]),
            ({"type": "eq", "key": "kind"}, ["no 'value'"]),
            ({**one("eq", "kind", "table"), "boost": 2}, ["no 'boost'"]),
        ],
    )
    def test_what_cannot_be_is_refused_with_its_name(self, wrong, words):
        with pytest.raises(Invalid) as refused:
            filter_parse(wrong)

        assert [word for word in words if word not in str(refused.value)] == []

    def test_nesting_and_number_have_a_bound(self):
        deep = one("eq", "kind", "table")
        for _ in range(9):
            deep = {"type": "and", "filters": [deep]}

        with pytest.raises(Invalid, match="nested deeper than 8"):
            filter_parse(deep)
        with pytest.raises(Invalid, match="more than 64 comparisons"):
            filter_parse({"type": "or", "filters": [one("eq", "page", n) for n in range(65)]})


class TestSql:
    @pytest.mark.parametrize("operator", OPERATORS)
    def test_a_value_and_a_key_are_bound_and_never_written(self, operator):
        hostile = "2020-01-01" if operator in ("gt", "gte", "lt", "lte") else "'; DROP TABLE x; --"
        value = [hostile] if operator in ("in", "nin") else hostile

        made = filter_sql(filter_parse(one(operator, "metadata.a b-c.d", value)))

        assert "DROP" not in made.sql
        assert "a b" not in made.sql
        assert made.sql.count("%s") == len(made.values)

    @pytest.mark.parametrize("key", FIELDS)
    def test_every_field_has_sql(self, key):
        value = {"collection": str(SOMEBODY), "document": str(SOMEBODY), "kind": "text", "date": "2020-01-01"}
        number = 3 if key in ("page", "time_s") else "x"

        made = filter_sql(filter_parse(one("eq", key, value.get(key, number))))

        assert made.sql.count("%s") == len(made.values) > 0

    def test_only_what_looks_at_a_table_joins_it(self):
        assert not filter_sql(filter_parse(one("eq", "kind", "text"))).of_documents
        assert filter_sql(filter_parse(one("eq", "tags", "x"))).of_documents
        assert filter_sql(filter_parse(one("eq", "metadata.d", "x"))).of_documents
        assert filter_sql(filter_parse(one("eq", "media_type", "text/plain"))).of_parts
