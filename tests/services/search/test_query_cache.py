"""Query vectors in the real broker: found again by digest and text, for a time, and not without bound."""

from __future__ import annotations

import pytest

from core.remote import broker
from core.search.query_cache import PREFIX, QueryCache, QueryKey
from core.search.service import segments_search
from core.segments.service import space_activate, space_create

pytestmark = pytest.mark.services

VECTOR = [0.25, -0.5, 0.125]


@pytest.fixture
def cache(clean_database) -> QueryCache:
    return QueryCache(broker(), max_entries=3)


def key(text: str, digest: str = "a" * 64) -> QueryKey:
    return QueryKey(digest, text)


class TestKeeping:
    def test_a_vector_comes_back_for_its_digest_and_text_alone(self, cache):
        cache.put({key("boiler"): VECTOR})

        assert cache.get([key("boiler"), key("crane"), key("boiler", "b" * 64)]) == [VECTOR, None, None]

    def test_it_goes_after_its_time(self, cache):
        QueryCache(broker(), ttl_s=1000).put({key("boiler"): VECTOR})

        assert 0 < broker().ttl(key("boiler").name) <= 1000

    def test_the_least_recently_used_goes_when_there_are_too_many(self, cache):
        for text in ("one", "two", "three"):
            cache.put({key(text): VECTOR})
        cache.get([key("one")])
        cache.put({key("four"): VECTOR})

        assert cache.get([key("one"), key("two"), key("three"), key("four")]) == [VECTOR, None, VECTOR, VECTOR]
        assert len(cache) == 3

    def test_the_words_of_a_query_do_not_stand_in_the_broker(self, cache):
        cache.put({key("the secret boiler"): VECTOR})

        kept = broker().keys(f"{PREFIX}*")

        assert len(kept) == 2
        assert not any(b"boiler" in name for name in kept)


class TestSearching:
    @pytest.fixture
    def asked(self, embedder):
        """An embedder that remembers what it was asked."""
        calls = []

        def remember(*, role, text=None, image=None):
            calls.append((role, text if text is not None else image))
            return embedder(role=role, text=text, image=image)

        return calls, remember

    def test_the_second_search_for_the_same_words_asks_nobody(self, library, asked):
        calls, embedder = asked
        wanted = library.add("The boiler was serviced.")

        first = segments_search(user=library.alice, embedder=embedder, text="boiler")
        second = segments_search(user=library.alice, embedder=embedder, text="boiler")

        assert sorted(calls) == [("image_text", "boiler"), ("text", "boiler")]
        assert [hit.segment.pk for hit in second.hits] == [hit.segment.pk for hit in first.hits] == [wanted.pk]
        assert second.hits[0].legs == pytest.approx(first.hits[0].legs)

    def test_another_active_space_is_asked_anew(self, library, asked):
        calls, embedder = asked
        segments_search(user=library.alice, embedder=embedder, text="boiler")
        space_activate(space_id=space_create(name="text", digest="c" * 64, dimensions=64).pk)
        segments_search(user=library.alice, embedder=embedder, text="boiler")

        assert calls.count(("text", "boiler")) == 2
        assert calls.count(("image_text", "boiler")) == 1

    def test_pictures_are_not_kept(self, library, asked):
        calls, embedder = asked
        for _ in range(2):
            segments_search(user=library.alice, embedder=embedder, image=b"red bicycle")

        assert calls == [("image_text", b"red bicycle")] * 2
