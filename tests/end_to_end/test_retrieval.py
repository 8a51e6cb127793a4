"""Directions, moments and filters with the real engines, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from core.cli.samples import SAMPLES

pytestmark = pytest.mark.weights

COLLECTION = "retrieval"
A5_PX = (874, 1240)
PHOTOGRAPH = SAMPLES / "photograph.jpg"


@pytest.fixture(scope="session")
def album(stack, tmp_path_factory) -> str:
    """A PDF with a page of words and a page with the sample photograph, beside a recording; the PDF's id."""
    path = tmp_path_factory.mktemp("album") / "album.pdf"
    write_album(path)
    labels = (
        "--tag",
        "boats",
        "--tag",
        "animals",
        "--meta",
        "year=2021",
        "--meta",
        "author=Ada",
        "--date",
        "2021-03-12",
    )
    code, sent = stack.run("ingest", str(path), "--collection", COLLECTION, *labels, "--wait")
    assert code == 0, sent
    code, recording = stack.run("ingest", str(SAMPLES / "meeting.mp3"), "--collection", COLLECTION, "--wait")
    assert code == 0, recording
    return sent["documents"][0]["id"]


def write_album(path: Path) -> None:
    words, pictures = (Image.new("RGB", A5_PX, "white") for _ in range(2))
    font = ImageFont.load_default(size=26)
    ImageDraw.Draw(words).text((80, 200), "The rowing boats of the harbour\nare repaired in winter.", "black", font)
    pictures.paste(Image.open(PHOTOGRAPH).convert("RGB").resize((720, 480)), (77, 300))
    words.save(path, save_all=True, append_images=[pictures], resolution=150)


class TestDirections:
    def test_a_picture_finds_the_page_it_is_on(self, stack, album):
        code, found = stack.run("search", "--image", str(PHOTOGRAPH), "--collection", COLLECTION)

        assert code == 0
        assert found["hits"][0]["document"]["id"] == album
        assert found["hits"][0]["anchor"]["page"] == 2

    def test_words_find_the_page_with_the_picture(self, stack, album):
        hits = stack.search("a cat", collection=COLLECTION)

        assert (hits[0]["document"]["id"], hits[0]["anchor"]["page"]) == (album, 2)

    def test_a_picture_and_words_find_what_each_finds(self, stack, album):
        _, found = stack.run("search", "repair of rowing boats", "--image", str(PHOTOGRAPH), "--collection", COLLECTION)

        assert {hit["anchor"].get("page") for hit in found["hits"][:3]} >= {1, 2}
        assert found["reranked"] is False


class TestMoments:
    def test_a_speaker_after_a_moment_with_the_turns_around(self, stack, album):
        told = stack.search("the key to the clock", collection=COLLECTION, kinds=["speech"], neighbours=1)
        moment = told[0]["anchor"]

        narrowed = stack.search(
            "the key to the clock",
            collection=COLLECTION,
            speaker=[moment["speaker"]],
            time_from_s=moment["start_s"],
            neighbours=1,
        )

        assert narrowed[0]["segment"] == told[0]["segment"]
        assert {hit["anchor"]["speaker"] for hit in narrowed} == {moment["speaker"]}
        assert all(hit["anchor"]["end_s"] > moment["start_s"] for hit in narrowed)
        assert narrowed[0]["neighbours"]
        assert stack.search("the key to the clock", collection=COLLECTION, speaker=["S99"]) == []


class TestFilters:
    @pytest.mark.parametrize(
        "narrowed",
        [
            ("--tag", "boats"),
            ("--since", "2021-01-01", "--until", "2021-12-31"),
            ("--media-type", "application/pdf"),
            ("--to-page", "1"),
            ("--filter", '{"type": "and", "filters": [{"type": "gte", "key": "metadata.year", "value": 2021}]}'),
        ],
        ids=lambda one: one[0],
    )
    def test_the_command_line_narrows_by_them(self, stack, album, narrowed):
        code, found = stack.run("search", "rowing boats", "--collection", COLLECTION, *narrowed)

        assert code == 0
        assert {hit["document"]["id"] for hit in found["hits"]} == {album}

    def test_what_cannot_be_is_wrong_usage(self, stack, album):
        wrong = '{"type": "gt", "key": "kind", "value": "text"}'

        code, told = stack.run("search", "boats", "--collection", COLLECTION, "--filter", wrong)

        assert code == 2
        assert "'gt' of 'kind'" in told["error"]["message"]

    def test_quoted_words_stand_together(self, stack, album):
        assert stack.search('"rowing boats"', collection=COLLECTION)[0]["document"]["id"] == album
        assert stack.search('"boats rowing"', collection=COLLECTION) == []
