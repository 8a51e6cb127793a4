"""POST /api/search and the labels of documents over HTTP, with query vectors as if they had been asked for before."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core.access.models import Role
from core.access.service import membership_set, token_create
from core.remote import broker
from core.search.query_cache import QueryCache, QueryKey
from tests.services.search.conftest import fake_query_embedder

pytestmark = pytest.mark.services


class Caller:
    """A user with a token."""

    def __init__(self, user) -> None:
        self._client = Client()
        self._headers = {"Authorization": f"Bearer {token_create(user)}"}

    def json(self, method: str, path: str, body: dict):
        sent = self._client.generic(
            method, path, json.dumps(body), content_type="application/json", headers=self._headers
        )
        return sent.status_code, sent.json()

    def form(self, path: str, fields: dict):
        sent = self._client.post(path, fields, headers=self._headers)
        return sent.status_code, sent.json()


@pytest.fixture
def alice(library) -> Caller:
    return Caller(library.alice)


@pytest.fixture
def known(library):
    def remember(*texts: str) -> None:
        cache = QueryCache(broker())
        for text in texts:
            for name, space in (("text", library.text_space), ("image_text", library.picture_space)):
                cache.put({QueryKey(space.digest, text): fake_query_embedder(role=name, text=text)})

    return remember


class TestLabels:
    def test_they_come_with_an_upload_and_stand_in_the_document(self, alice):
        file = SimpleUploadedFile("note.txt", b"The fee is forty euros.")
        metadata = {"year": 2021, "author": "Ada", "final": True, "due": "2021-03-12"}

        status, told = alice.form(
            "/api/documents",
            {
                "collection": "papers",
                "file": file,
                "tags": ["finance", "harbour"],
                "metadata": json.dumps(metadata),
                "date": "2021-03-12",
            },
        )

        assert status == 201
        assert (told["tags"], told["metadata"], told["date"]) == (["finance", "harbour"], metadata, "2021-03-12")

    def test_a_change_merges_metadata_and_replaces_tags(self, alice):
        body = {"collection": "papers", "title": "t", "content": "c", "tags": ["a"], "metadata": {"x": 1, "y": 2}}
        document = alice.json("POST", "/api/documents", body)[1]["id"]

        status, told = alice.json(
            "PATCH",
            f"/api/documents/{document}",
            {"tags": ["b"], "metadata": {"x": None, "z": "3"}, "date": "2020-02-29"},
        )

        assert status == 200
        assert (told["tags"], told["metadata"], told["date"]) == (["b"], {"y": 2, "z": "3"}, "2020-02-29")
        assert alice.json("PATCH", f"/api/documents/{document}", {"date": None})[1]["date"] is None

    def test_sent_again_the_document_takes_the_new_labels(self, alice):
        body = {"collection": "papers", "title": "t", "content": "c", "tags": ["a"]}
        alice.json("POST", "/api/documents", body)

        status, told = alice.json("POST", "/api/documents", {**body, "tags": ["b"]})

        assert (status, told["tags"]) == (200, ["b"])
        assert alice.json("POST", "/api/documents", {**body, "tags": []})[1]["tags"] == []

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"metadata": {"list": [1]}}, "the value of 'list'"),
            ({"metadata": {"a/b": 1}}, "the key 'a/b'"),
            ({"metadata": [1]}, "metadata: send an object"),
            ({"metadata": {str(number): 1 for number in range(33)}}, "at most 32 keys"),
            ({"tags": ["x" * 65]}, "64"),
            ({"date": "tomorrow"}, "YYYY-MM-DD"),
        ],
    )
    def test_what_cannot_be_is_refused_with_a_sentence(self, alice, wrong, words):
        status, told = alice.json("POST", "/api/documents", {"collection": "p", "title": "t", "content": "c", **wrong})

        assert status == 400
        assert words in told["error"]["message"]

    def test_a_viewer_may_not_change_them(self, library, alice):
        document = library.document().pk
        membership_set(collection=library.mine, user=library.bob, role=Role.VIEWER)

        status, told = Caller(library.bob).json("PATCH", f"/api/documents/{document}", {"tags": ["x"]})

        assert status == 403
        assert "not change it" in told["error"]["message"]


class TestSearching:
    def test_filters_by_name_and_by_language_hold_together(self, library, alice, known):
        known("budget")
        library.add("budget of a page", tags=["finance"], anchor={"page": 1, "box": [0, 0, 1, 1]})
        wanted = library.add(
            "budget of a later page", tags=["finance"], metadata={"year": 2021}, anchor={"page": 9, "box": [0, 0, 1, 1]}
        )

        status, told = alice.json(
            "POST",
            "/api/search",
            {
                "text": "budget",
                "collection": "papers",
                "tag": ["finance"],
                "page_from": 2,
                "filter": {"type": "gte", "key": "metadata.year", "value": 2020},
            },
        )

        assert status == 200
        assert [hit["segment"] for hit in told["hits"]] == [str(wanted.pk)]
        assert told["hits"][0]["document"]["metadata"] == {"year": 2021}
        assert told["reranked"] is False

    def test_a_form_takes_the_filter_as_text(self, library, alice, known):
        known("budget")
        library.add("budget")
        filtered = {"text": "budget", "filter": json.dumps({"type": "eq", "key": "tags", "value": "x"})}

        assert alice.form("/api/search", filtered) == (
            200,
            {"hits": [], "reranked": False, "took_ms": pytest.approx(0, abs=60_000)},
        )

    def test_moments_come_with_their_neighbours_and_groups_with_their_hits(self, library, alice, known):
        known("budget")
        document = library.document(title="meeting")
        for speaker, start_s in (("S1", 0.0), ("S2", 700.0), ("S1", 800.0)):
            library.put(
                document,
                f"the budget at {start_s}",
                kind="speech",
                anchor={"start_s": start_s, "end_s": start_s + 9, "speaker": speaker},
            )

        _, told = alice.json(
            "POST",
            "/api/search",
            {"text": "budget", "speaker": ["S2"], "time_from_s": 600, "neighbours": 1, "group": "document"},
        )

        (group,) = told["groups"]
        assert group["document"]["title"] == "meeting"
        assert [hit["anchor"]["start_s"] for hit in group["hits"]] == [700.0]
        assert [one["anchor"]["start_s"] for one in group["hits"][0]["neighbours"]] == [0.0, 800.0]

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"filter": {"type": "gt", "key": "kind", "value": "x"}}, "'gt' of 'kind'"),
            ({"filter": {"type": "eq", "key": "colour", "value": "x"}}, "'colour' is not a field"),
            ({"kind": ["poem"]}, "poem"),
            ({"group": "page"}, "group"),
            ({"neighbours": 50}, "neighbours"),
            ({"text": ""}, "give text, an image, or both"),
        ],
    )
    def test_what_cannot_be_is_refused_with_its_name(self, alice, wrong, words):
        status, told = alice.json("POST", "/api/search", {"text": "budget", **wrong})

        assert status == 400
        assert words in told["error"]["message"]


class TestThePage:
    @pytest.fixture
    def page(self, library, known):
        known("budget")
        client = Client()
        client.force_login(library.alice)

        def search(**fields) -> str:
            found = client.post(f"/c/{library.mine.pk}/search", {"text": "budget", **fields})
            assert found.status_code == 200
            return found.content.decode()

        return search

    def test_its_filters_narrow_and_show_what_is_around(self, library, page):
        meeting = library.document(title="meeting", tags=["finance"])
        for speaker, start_s in (("S1", 0.0), ("S2", 700.0), ("S1", 800.0)):
            library.put(
                meeting,
                f"the budget at {start_s}",
                kind="speech",
                anchor={"start_s": start_s, "end_s": start_s + 9, "speaker": speaker},
            )

        shown = page(tag="finance, ", speaker="S2", minute_from="10", around="on")

        assert "<p>the budget at 700.0</p>" in shown
        assert '<p class="quiet">the budget at 800.0</p>' in shown
        assert "Nothing found" in page(speaker="S9")

    def test_it_says_what_is_the_same_elsewhere(self, library, page):
        for title in ("first", "second"):
            library.add("the very same budget", title=title)

        assert "the same in <a" in page()

    @pytest.mark.parametrize(("field", "wrong"), [("date_from", "soon"), ("page_from", "0"), ("kind", "poem")])
    def test_it_refuses_what_cannot_be_with_a_sentence(self, page, field, wrong):
        assert 'role="alert"' in page(**{field: wrong})
