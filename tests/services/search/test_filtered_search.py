"""Filters inside the SQL of every leg, moments of recordings, groups, duplicates, phrases, prefixes, reranking."""

from __future__ import annotations

import datetime as dt

import pytest

from core.access.errors import NotFound
from core.access.models import Role
from core.access.service import membership_set
from core.search.filters import filter_parse
from core.search.service import segments_search

pytestmark = pytest.mark.services


@pytest.fixture
def search(library, embedder):
    def run(text=None, *, user=None, where=None, **arguments):
        return segments_search(
            user=user or library.alice,
            embedder=embedder,
            text=text,
            filter=filter_parse(where) if where else None,
            **arguments,
        )

    return run


@pytest.fixture
def found(search):
    def run(text=None, **arguments):
        return {hit.segment.pk for hit in search(text, **arguments).hits}

    return run


def one(operator: str, key: str, value: object) -> dict:
    return {"type": operator, "key": key, "value": value}


class TestFields:
    @pytest.fixture
    def budgets(self, library):
        """Two budgets, which every field tells apart."""
        return (
            library.add(
                "the budget of the harbour",
                kind="text",
                media_type="application/pdf",
                language="en",
                tags=["finance", "2021"],
                metadata={"year": 2021, "author": "Ada", "final": True, "due": "2021-03-12"},
                date=dt.date(2021, 3, 12),
                anchor={"page": 3, "box": [0, 0, 1, 1]},
                title="old",
            ),
            library.add(
                "budget | 400 of the town",
                kind="table",
                media_type="text/csv",
                language="de",
                tags=["finance"],
                metadata={"year": 2022.5, "author": "Bob", "final": False, "due": "2022-01-01"},
                date=dt.date(2022, 1, 1),
                anchor={"page": 7, "box": [0, 0, 1, 1]},
                title="new",
            ),
        )

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("kind", "text"),
            ("media_type", "application/pdf"),
            ("language", "en"),
            ("tags", "2021"),
            ("date", "2021-03-12"),
            ("page", 3),
            ("metadata.year", 2021),
            ("metadata.author", "Ada"),
            ("metadata.final", True),
            ("metadata.due", "2021-03-12"),
        ],
    )
    def test_equality_finds_the_one_and_its_negation_the_other(self, budgets, found, key, value):
        first, second = (segment.pk for segment in budgets)

        assert found("budget", where=one("eq", key, value)) == {first}
        assert found("budget", where=one("in", key, [value])) == {first}
        assert found("budget", where=one("ne", key, value)) == {second}
        assert found("budget", where=one("nin", key, [value])) == {second}

    @pytest.mark.parametrize(
        ("key", "between"),
        [("date", "2021-06-01"), ("page", 5), ("metadata.year", 2022), ("metadata.due", "2021-06-01")],
    )
    def test_order_parts_them(self, budgets, found, key, between):
        first, second = (segment.pk for segment in budgets)

        assert found("budget", where=one("lt", key, between)) == {first}
        assert found("budget", where=one("lte", key, between)) == {first}
        assert found("budget", where=one("gt", key, between)) == {second}
        assert found("budget", where=one("gte", key, between)) == {second}

    def test_ids_of_documents_and_collections(self, library, budgets, found):
        first = budgets[0]

        assert found("budget", where=one("eq", "document", str(first.document_id))) == {first.pk}
        assert len(found("budget", where=one("eq", "collection", str(library.mine.pk)))) == 2
        assert found("budget", where=one("ne", "collection", str(library.mine.pk))) == set()

    def test_and_or_and_their_nesting(self, budgets, found):
        first, second = (segment.pk for segment in budgets)
        ada, table = one("eq", "metadata.author", "Ada"), one("eq", "kind", "table")

        assert found("budget", where={"type": "or", "filters": [ada, table]}) == {first, second}
        assert found("budget", where={"type": "and", "filters": [ada, table]}) == set()
        assert found(
            "budget",
            where={"type": "and", "filters": [one("gte", "page", 1), {"type": "or", "filters": [table, table]}]},
        ) == {second}

    def test_what_has_no_value_is_unequal_and_neither_more_nor_less(self, library, found):
        plain = library.add("a budget without labels").pk

        assert found("budget", where=one("ne", "metadata.year", 2021)) == {plain}
        assert found("budget", where=one("nin", "tags", ["finance"])) == {plain}
        assert found("budget", where=one("gt", "metadata.year", 0)) == set()
        assert found("budget", where=one("lte", "date", "2030-01-01")) == set()

    def test_types_are_not_mixed(self, library, found):
        library.add("a budget", metadata={"year": "many", "due": "soon", "count": "12"})

        assert found("budget", where=one("gte", "metadata.year", 0)) == set()
        assert found("budget", where=one("gte", "metadata.due", "0001-01-01")) == set()
        assert found("budget", where=one("eq", "metadata.count", 12)) == set()

    def test_the_picture_leg_is_filtered_too(self, library, search):
        for page in (1, 2):
            library.add("", kind="image", label="red bicycle", anchor={"page": page, "box": [0, 0, 1, 1]})

        hits = search(image=b"red bicycle", where=one("eq", "page", 2)).hits

        assert [hit.segment.anchor["page"] for hit in hits] == [2]

    def test_no_filter_opens_what_may_not_be_seen(self, library, found):
        foreign = library.add("secret budget", collection=library.theirs, tags=["x"])

        for where in (
            one("eq", "collection", str(library.theirs.pk)),
            one("eq", "document", str(foreign.document_id)),
            {"type": "or", "filters": [one("ne", "tags", "y"), one("eq", "tags", "x")]},
        ):
            assert found("budget", where=where) == set()


class TestMoments:
    @pytest.fixture
    def meeting(self, library):
        """A recording: two speakers in turn, the budget before and after minute ten."""
        document = library.document(title="meeting", media_type="audio/mpeg")
        turns = [
            ("S1", 0, "Welcome to the meeting."),
            ("S2", 60, "The budget is too small for the pier."),
            ("S1", 590, "Let us go on."),
            ("S1", 700, "I say the budget is fine."),
            ("S2", 800, "The budget needs forty euros more."),
            ("S1", 900, "Then we vote."),
        ]
        return [
            library.put(
                document, text, kind="speech", anchor={"start_s": start_s, "end_s": start_s + 30.0, "speaker": speaker}
            )
            for speaker, start_s, text in turns
        ]

    def test_what_the_second_speaker_said_of_the_budget_after_minute_ten(self, meeting, search):
        where = {"type": "and", "filters": [one("eq", "speaker", "S2"), one("gt", "time_s", 600)]}

        hits = search("What about the budget?", where=where, neighbours=1).hits

        assert [hit.segment.text for hit in hits] == ["The budget needs forty euros more."]
        assert [one["text"] for one in hits[0].as_json()["neighbours"]] == [
            "I say the budget is fine.",
            "Then we vote.",
        ]
        assert [one["position"] for one in hits[0].as_json()["neighbours"]] == ["before", "after"]

    def test_a_turn_that_reaches_into_the_time_counts(self, meeting, found):
        at_600 = {turn.pk for turn in meeting if turn.anchor["start_s"] == 590}

        assert found("go on", where=one("eq", "time_s", 600)) == at_600
        assert (
            found("go on", where={"type": "and", "filters": [one("gt", "time_s", 600), one("lt", "time_s", 650)]})
            == at_600
        )

    def test_a_frame_stands_in_its_second(self, library, search):
        library.add("", kind="frame", label="red bicycle", anchor={"frame_s": 12.0})

        assert len(search("red bicycle", where=one("eq", "time_s", 12)).hits) == 1
        assert search("red bicycle", where=one("gt", "time_s", 12)).hits == ()

    def test_neighbours_of_speech_are_speech_and_the_edges_have_fewer(self, library, meeting, search):
        library.put(meeting[0].document, "", kind="frame", label="pier", anchor={"frame_s": 900.0})

        first = search("welcome meeting", neighbours=2).hits[0]

        assert [one.text for one in first.neighbours] == [turn.text for turn in meeting[1:3]]

    def test_without_the_wish_there_are_none(self, meeting, search):
        assert "neighbours" not in search("budget").hits[0].as_json()


class TestWords:
    def test_quoted_words_stand_next_to_each_other_in_every_hit(self, library, found):
        library.add("The heron is grey and the crane is old.")
        wanted = library.add("The crane Grey Heron lifts 35 tonnes.")
        library.add("", kind="image", label="grey heron", anchor={"page": 1, "box": [0, 0, 1, 1]})

        assert found('"grey heron" crane', typed=True) == {wanted.pk}

    def test_quoted_stop_words_are_found(self, library, found):
        wanted = library.add("To be or not to be, he said.")
        library.add("Not to speak of it or to be.")

        assert found('"to be or not to be"', typed=True) == {wanted.pk}

    def test_a_beginning_finds_longer_words(self, library, search):
        library.add("Nothing of that.")
        wanted = library.add("The quadrupole is shielded.")

        hits = search("quadr*", typed=True).hits

        assert [hit.segment.pk for hit in hits] == [wanted.pk]
        assert "full_text" in hits[0].legs

    def test_a_question_that_quotes_is_no_filter(self, library, found):
        wanted = library.add("The recovery time objective is four hours.")

        assert wanted.pk in found('What is the "time recovery" objective?')


class TestDuplicates:
    TEXT = "The siren on the roof of the harbour office is tested on the first Monday of every month at noon"

    def test_the_same_words_in_two_documents_are_one_hit_that_says_so(self, library, search):
        first, second = library.add(self.TEXT, title="a"), library.add(self.TEXT + ".", title="b")

        hits = search("siren tested").hits

        assert len(hits) == 1
        titles = {hits[0].segment.document.title, hits[0].as_json()["duplicates"][0]["document"]["title"]}
        assert titles == {"a", "b"}
        assert {hits[0].segment.pk, hits[0].duplicates[0].pk} == {first.pk, second.pk}

    def test_a_foreign_duplicate_is_neither_shown_nor_counted(self, library, search):
        library.add(self.TEXT)
        library.add(self.TEXT, collection=library.theirs)

        assert [hit.duplicates for hit in search("siren tested").hits] == [()]

        membership_set(collection=library.theirs, user=library.alice, role=Role.VIEWER)
        assert [len(hit.duplicates) for hit in search("siren tested").hits] == [1]

    def test_many_copies_do_not_take_the_places_of_other_hits(self, library, search):
        for _ in range(40):
            library.add(self.TEXT)
        others = {library.add(f"The siren number {number} is blue").pk for number in range(4)}

        hits = search("siren tested", limit=5).hits

        assert len(hits) == 5
        assert others < {hit.segment.pk for hit in hits}


class TestGroups:
    def test_hits_come_by_document_best_first(self, library, search):
        novel, leaflet = library.document(title="novel"), library.document(title="leaflet")
        library.put(leaflet, "boiler")
        for number in range(5):
            library.put(novel, f"The boiler and {number} other things were seen")

        result = search("boiler", group_by_document=True)

        assert [group.document.title for group in result.groups] == ["leaflet", "novel"]
        assert [len(group.hits) for group in result.groups] == [1, 3]
        assert [hit.segment.document.title for hit in result.hits] == ["leaflet", "novel"]

    def test_the_limit_counts_documents(self, library, search):
        for number in range(4):
            library.add(f"boiler number {number}")

        assert len(search("boiler", group_by_document=True, limit=2).groups) == 2


class TestReranking:
    def test_without_a_reranker_the_result_says_so(self, library, search):
        library.add("boiler")

        assert search("boiler").as_json()["reranked"] is False

    def test_its_scores_order_text_and_leave_pictures_in_place(self, library, search):
        library.add("", kind="image", label="boiler", anchor={"page": 1, "box": [0, 0, 1, 1]})
        near, far = library.add("boiler"), library.add("boiler among very many other words")

        def by_length(*, query, passages):
            assert query == "boiler"
            return [float(len(passage)) for passage in passages]

        result = search("boiler", reranker=by_length)

        assert result.reranked
        assert [hit.segment.pk for hit in result.hits][1:] == [far.pk, near.pk]
        assert result.hits[1].legs["rerank"] == 34.0


class TestPlaces:
    def test_a_collection_is_found_by_its_name_and_a_foreign_one_is_not(self, library, search):
        wanted = library.add("boiler")

        assert [hit.segment.pk for hit in search("boiler", collection="papers").hits] == [wanted.pk]
        with pytest.raises(NotFound, match="there is no collection 'secrets'"):
            search("boiler", collection="secrets")
