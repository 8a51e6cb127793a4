"""Conditional requests, ranges of the version one has, and throttles."""

from __future__ import annotations

import httpx
import pytest

from core.access.acting import acting_as_system
from core.access.throttle import WINDOW_S, throttle_left, throttle_take
from core.documents.models import Document
from core.documents.storage import artefact_write
from core.jobs.service import PartUpload, document_submit
from core.segments.models import Segment
from tests.services.api.conftest import WebProcess

pytestmark = pytest.mark.services

WORDS = b"The fee is forty euros."


@pytest.fixture
def document(ann) -> Document:
    part = PartUpload(name="fee.txt", content=WORDS)
    return document_submit(user=ann.user, collection=ann.collection, parts=[part])[0]


@pytest.fixture
def picture(document) -> str:
    with acting_as_system():
        segment = Segment.objects.create(
            id=document.pk,
            document=document,
            collection_id=document.collection_id,
            part=document.parts.get(),
            ordinal=0,
            kind="image",
            anchor={"page": 1},
            picture_sha256=artefact_write(b"\x89PNG and so on"),
        )
    return f"/api/segments/{segment.pk}/picture"


class TestVersions:
    @pytest.mark.parametrize("suffix", ["", "/content"])
    def test_what_one_has_is_not_sent_again(self, ann, document, suffix):
        path = f"/api/documents/{document.pk}{suffix}"
        first = ann.http.get(path)

        again = ann.http.get(path, headers={"If-None-Match": first.headers["ETag"]})

        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]

    def test_a_preview_is_not_sent_again(self, ann, picture):
        first = ann.http.get(picture)

        assert ann.http.get(picture, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304

    def test_a_changed_document_is_sent_again(self, ann, document):
        path = f"/api/documents/{document.pk}"
        etag = ann.http.get(path).headers["ETag"]

        ann.http.patch(path, json={"title": "The fee"})
        again = ann.http.get(path, headers={"If-None-Match": etag})

        assert (again.status_code, again.json()["title"]) == (200, "The fee")

    def test_whom_a_version_was_taken_from_gets_nothing_by_it(self, ann, ben, document):
        etag = ann.http.get(f"/api/documents/{document.pk}/content").headers["ETag"]

        told = ben.http.get(f"/api/documents/{document.pk}/content", headers={"If-None-Match": etag})

        assert told.status_code == 404

    @pytest.mark.parametrize(("mine", "status", "content"), [(True, 206, b"fee"), (False, 200, WORDS)])
    def test_a_range_is_of_the_version_one_has(self, ann, document, mine, status, content):
        path = f"/api/documents/{document.pk}/content"
        etag = ann.http.get(path).headers["ETag"] if mine else '"another"'

        part = ann.http.get(path, headers={"Range": "bytes=4-6", "If-Range": etag})

        assert (part.status_code, part.content) == (status, content)

    def test_an_absurd_range_is_ignored(self, ann, document):
        whole = ann.http.get(f"/api/documents/{document.pk}/content", headers={"Range": f"bytes=0-{'9' * 5000}"})

        assert (whole.status_code, whole.content) == (200, WORDS)


class TestThrottles:
    def test_one_user_is_told_to_wait_and_another_is_not(self, services, clean_database, ann, ben):
        process = WebProcess(services.home, CLOISTER_UPLOADS_PER_MINUTE="2")
        process.start()
        try:
            answers = [self.upload(process, ann, number) for number in range(6)]
            other = self.upload(process, ben, 0)
        finally:
            process.stop()

        # Two minutes of the clock can have begun meanwhile, with two uploads each.
        refused = [answer for answer in answers if answer.status_code == 429]
        assert answers[0].status_code == 201
        assert len(refused) >= 2
        assert all(1 <= int(answer.headers["Retry-After"]) <= WINDOW_S for answer in refused)
        assert refused[0].json()["error"]["code"] == "throttled"
        assert other.status_code == 201

    def upload(self, process: WebProcess, who, number: int) -> httpx.Response:
        return httpx.post(
            f"{process.url}/api/documents",
            headers=who.headers,
            json={"collection": str(who.collection.pk), "title": "t", "content": f"words {number}"},
        )

    def test_looking_does_not_count(self, clean_database):
        for _ in range(5):
            assert throttle_left(scope="login", who="ann", per_minute=2) == 0
        taken = [throttle_take(scope="login", who="ann", per_minute=2) for _ in range(6)]

        assert taken[0] == 0
        assert max(taken) > 0
