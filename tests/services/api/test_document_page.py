"""The page of a document with more segments than one page shows, and the preview of a picture."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client

from core.access.acting import acting_as_system
from core.access.models import User
from core.access.service import collection_create, user_create
from core.documents.models import Document
from core.documents.storage import artefact_write
from core.jobs.service import PartUpload, document_submit
from core.segments.models import Segment
from core.web.views import SEGMENTS_SHOWN

pytestmark = pytest.mark.services

TOTAL = SEGMENTS_SHOWN + 20


@pytest.fixture
def alice(clean_database) -> User:
    return user_create(name="alice")


@pytest.fixture
def pages(alice) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def document(alice) -> Document:
    collection = collection_create(user=alice, name="papers")
    part = PartUpload(name="long.txt", content="words", kind="text")
    submitted, _ = document_submit(user=alice, collection=collection, parts=[part], title="long", path="")
    return submitted


@pytest.fixture
def segments(document) -> list[Segment]:
    with acting_as_system():
        part = document.parts.get()
        return Segment.objects.bulk_create(
            Segment(
                id=uuid.uuid4(),
                document=document,
                collection_id=document.collection_id,
                part=part,
                ordinal=ordinal,
                kind="text",
                text=f"segment number {ordinal}.",
                anchor={"start_char": ordinal, "end_char": ordinal + 1},
            )
            for ordinal in range(TOTAL)
        )


def numbers(html: str) -> list[int]:
    return [int(found) for found in re.findall(r"segment number (\d+)\.", html)]


class TestDocumentPage:
    def test_it_begins_at_the_beginning(self, pages, document, segments):
        html = pages.get(f"/d/{document.pk}").content.decode()

        assert numbers(html) == list(range(SEGMENTS_SHOWN))
        assert f'href="?from={SEGMENTS_SHOWN}"' in html
        assert "earlier" not in html

    def test_it_opens_at_a_segment_far_behind(self, pages, document, segments):
        html = pages.get(f"/d/{document.pk}?segment={segments[-1].pk}").content.decode()

        assert numbers(html) == list(range(SEGMENTS_SHOWN, TOTAL))
        assert f'<li id="s-{segments[-1].pk}" class="chosen"' in html
        assert 'href="?from=0"' in html

    @pytest.mark.parametrize("query", ["segment=nonsense", f"segment={uuid.UUID(int=0)}", "from=-1", "from=word"])
    def test_what_it_does_not_know_leads_to_the_beginning(self, pages, document, segments, query):
        answer = pages.get(f"/d/{document.pk}?{query}")

        assert answer.status_code == 200
        assert numbers(answer.content.decode())[0] == 0


class TestPictures:
    def test_the_preview_comes_from_what_the_job_made(self, pages, segments):
        png = b"\x89PNG\r\n\x1a\n and what follows"
        with acting_as_system():
            Segment.objects.filter(pk=segments[0].pk).update(picture_sha256=artefact_write(png))

        answer = pages.get(f"/api/segments/{segments[0].pk}/picture")

        assert answer.status_code == 200
        assert answer.content == png
