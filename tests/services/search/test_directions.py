"""Every direction of a search: words and pictures to text, picture, page, frame and second of a recording."""

from __future__ import annotations

import pytest

from core.search.service import segments_search

pytestmark = pytest.mark.services

PAGE = {"page": 4, "box": [0.0, 0.0, 1.0, 1.0]}
PICTURE_ON_PAGE = {"page": 4, "box": [0.1, 0.1, 0.4, 0.4]}


@pytest.fixture
def search(library, embedder):
    def run(text=None, **arguments):
        hits = segments_search(user=library.alice, embedder=embedder, text=text, **arguments).hits
        return [(hit.segment.kind, hit.segment.anchor) for hit in hits]

    return run


@pytest.fixture
def mixed(library):
    """One document with a page, a picture on it, a frame of a film and a turn of speech; and others around it."""
    document = library.document(title="mixed")
    library.put(document, "Parsley is planted in April.", anchor={"page": 1, "box": [0, 0, 1, 0.5]})
    library.put(document, "", kind="image", label="tower bridge river", anchor=PAGE)
    library.put(document, "", kind="image", label="tower bridge", anchor=PICTURE_ON_PAGE)
    library.put(document, "", kind="frame", label="red bicycle wall", anchor={"frame_s": 12.0})
    library.put(
        document,
        "We repair the crane on Monday.",
        kind="speech",
        anchor={"start_s": 61.5, "end_s": 64.0, "speaker": "S1"},
    )
    return document


class TestWordsTo:
    def test_text(self, mixed, search):
        assert search("When is parsley planted?")[0] == ("text", {"page": 1, "box": [0, 0, 1, 0.5]})

    def test_a_picture_and_the_page_it_is_on(self, mixed, search):
        assert search("tower bridge")[:2] == [("image", PICTURE_ON_PAGE), ("image", PAGE)]

    def test_a_page_render(self, mixed, search):
        assert search("tower bridge river")[0] == ("image", PAGE)

    def test_a_video_frame(self, mixed, search):
        assert search("red bicycle wall")[0] == ("frame", {"frame_s": 12.0})

    def test_the_second_of_a_recording(self, mixed, search):
        assert search("repair the crane")[0] == ("speech", {"start_s": 61.5, "end_s": 64.0, "speaker": "S1"})


class TestAPictureTo:
    def test_its_like_and_the_page_it_appears_on(self, mixed, search):
        assert search(image=b"tower bridge") == [("image", PICTURE_ON_PAGE), ("image", PAGE)]

    def test_a_frame(self, mixed, search):
        assert search(image=b"bicycle wall") == [("frame", {"frame_s": 12.0})]

    def test_nothing_where_nothing_is_like_it(self, mixed, search):
        assert search(image=b"volcano") == []


class TestBothTogether:
    def test_what_both_point_at_comes_first(self, library, search):
        library.add("", kind="image", label="red bicycle", anchor={"page": 1, "box": [0, 0, 1, 1]})
        library.add("", kind="image", label="river boat", anchor={"page": 2, "box": [0, 0, 1, 1]})
        library.add("", kind="image", label="red boat", anchor={"page": 3, "box": [0, 0, 1, 1]})

        assert search("red bicycle", image=b"river boat")[0][1]["page"] == 3

    def test_words_still_find_text(self, library, search):
        library.add("", kind="image", label="river boat", anchor={"page": 2, "box": [0, 0, 1, 1]})
        library.add("The crane lifts 35 tonnes.")

        assert {kind for kind, _ in search("crane lifts", image=b"river boat")} == {"image", "text"}
