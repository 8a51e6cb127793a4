"""The speech of a document, downloaded as subtitles."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from core.access.acting import acting_as_system
from core.access.models import User
from core.access.service import collection_create, token_create, user_create
from core.documents.models import Document
from core.jobs.service import PartUpload, document_submit
from core.segments.models import Segment

pytestmark = pytest.mark.services


@pytest.fixture
def alice(clean_database) -> User:
    return user_create(name="alice")


@pytest.fixture
def document(alice) -> Document:
    collection = collection_create(user=alice, name="meetings")
    part = PartUpload(name="meeting.wav", content="sound", kind="text")
    submitted, _ = document_submit(user=alice, collection=collection, parts=[part], title="meeting", path="")
    with acting_as_system():
        for ordinal, (text, start_s, speaker) in enumerate((("Is it red?", 1.0, "S1"), ("No, blue.", 3.5, "S2"))):
            words = [[word, start_s + n / 2, start_s + n / 2 + 0.4] for n, word in enumerate(text.split())]
            Segment.objects.create(
                id=uuid.uuid4(),
                document=submitted,
                collection_id=submitted.collection_id,
                part=submitted.parts.get(),
                ordinal=ordinal,
                kind="speech",
                text=text,
                anchor={"start_s": start_s, "end_s": words[-1][2], "speaker": speaker},
                words=words,
            )
    return submitted


def downloaded(user: User, document: Document, **query: str):
    address = f"/api/documents/{document.pk}/subtitles"
    return Client().get(address, query, headers={"Authorization": f"Bearer {token_create(user)}"})


class TestSubtitles:
    def test_are_webvtt_with_the_speakers_voices(self, alice, document) -> None:
        answer = downloaded(alice, document)

        assert answer.headers["Content-Type"] == "text/vtt; charset=utf-8"
        assert answer.content.decode() == (
            "WEBVTT\n\n00:00:01.000 --> 00:00:02.400\n<v S1>Is it red?\n\n"
            "00:00:03.500 --> 00:00:04.400\n<v S2>No, blue.\n"
        )

    def test_are_subrip_where_that_is_wanted(self, alice, document) -> None:
        answer = downloaded(alice, document, kind="srt")

        assert answer.content.decode().startswith("1\n00:00:01,000 --> 00:00:02,400\nS1: Is it red?\n")

    def test_of_a_part_without_speech_are_not_found(self, alice, document) -> None:
        assert downloaded(alice, document, part=str(uuid.uuid4())).status_code == 404

    def test_are_shown_to_nobody_who_may_not_see_the_document(self, alice, document) -> None:
        assert downloaded(user_create(name="mallory"), document).status_code == 404
