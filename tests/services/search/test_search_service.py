"""Search on a real PostgreSQL: legs, floors, fusion, kinds and who sees what."""

from __future__ import annotations

import pytest

from core.access.models import Role
from core.access.service import membership_remove, membership_set
from core.search.service import segments_search

pytestmark = pytest.mark.services


@pytest.fixture
def search(library, embedder):
    def run(text=None, *, user=None, image=None, **arguments):
        found = segments_search(user=user or library.alice, embedder=embedder, text=text, image=image, **arguments)
        return [hit.segment.pk for hit in found.hits]

    return run


class TestFinding:
    def test_words_find_their_segment_first(self, library, search):
        library.add("Roses are watered twice a week.")
        boiler = library.add("The boiler in hall four was serviced in March.")

        assert search("When was the boiler serviced?")[0] == boiler.pk

    def test_stop_words_are_no_reason_for_the_full_text_leg(self, library, embedder):
        library.add("zzz of the in")

        found = segments_search(user=library.alice, embedder=embedder, text="the of in and qqq")

        assert [set(hit.legs) for hit in found.hits] == [{"text"}]

    def test_exact_codes_are_found(self, library, search):
        library.add("Part AB-1234 is in store.")
        wanted = library.add("Part XK-9987-Q is sold out.")

        assert search("XK-9987-Q")[0] == wanted.pk

    def test_a_kind_filters(self, library, search):
        library.add("budget of the year", kind="text")
        table = library.add("budget | 400", kind="table")

        assert search("budget", kinds=["table"]) == [table.pk]

    def test_a_german_question_uses_german_stems(self, library, search):
        library.add("Der Garten ist offen.", language="de")
        wanted = library.add("Die Heizungen wurden im März gewartet.", language="de")

        assert search("Wann wurde die Heizung gewartet?")[0] == wanted.pk

    def test_equal_texts_of_one_document_appear_once(self, library, search):
        first = library.add("The same words here.")

        assert search("same words") == [first.pk]


class TestPictures:
    def test_a_picture_question_finds_the_picture_first(self, library, search):
        library.add("The canteen serves coffee at ten.")
        picture = library.add("", kind="image", label="red bicycle wall", anchor={"page": 1, "box": [0, 0, 1, 1]})

        assert search("red bicycle wall")[0] == picture.pk

    def test_below_the_floor_no_picture_enters(self, library, search):
        text = library.add("The boiler was serviced in March.")
        library.add("", kind="image", label="red bicycle wall", anchor={"page": 1, "box": [0, 0, 1, 1]})

        assert search("boiler serviced March") == [text.pk]

    def test_a_picture_as_the_query_finds_its_like(self, library, search):
        library.add("", kind="image", label="tower bridge river", anchor={"page": 1, "box": [0, 0, 1, 1]})
        like = library.add("", kind="image", label="red bicycle wall", anchor={"page": 1, "box": [0, 0, 1, 1]})

        assert search(image=b"red bicycle") == [like.pk]

    def test_two_spaces_of_different_dimensions_answer_one_search(self, library, search):
        text = library.add("a red bicycle leans there")
        picture = library.add("", kind="image", label="red bicycle", anchor={"page": 1, "box": [0, 0, 1, 1]})

        assert library.text_space.dimensions != library.picture_space.dimensions
        assert set(search("red bicycle")) == {text.pk, picture.pk}


class TestWhoSeesWhat:
    def test_nobody_finds_anything_of_a_collection_they_are_not_in(self, library, search):
        library.add("The secret code is 4711.", collection=library.theirs)

        assert search("secret code") == []
        assert search("secret code", collection_ids=[library.theirs.pk]) == []
        assert len(search("secret code", user=library.bob)) == 1

    def test_a_membership_opens_and_its_removal_closes_at_once(self, library, search):
        secret = library.add("The secret code is 4711.", collection=library.theirs)

        membership_set(collection=library.theirs, user=library.alice, role=Role.VIEWER)
        assert search("secret code") == [secret.pk]

        membership_remove(collection=library.theirs, user=library.alice)
        assert search("secret code") == []

    def test_the_rarity_of_words_is_counted_among_what_one_sees(self, library, embedder):
        for number in range(5):
            library.add(f"boiler note {number}", collection=library.theirs)
        library.add("boiler here")

        found = segments_search(user=library.alice, embedder=embedder, text="boiler")

        alone = segments_search(user=library.bob, embedder=embedder, text="boiler")
        assert found.terms is not None
        assert alone.terms is not None
        assert found.terms.total_weight > alone.terms.total_weight
