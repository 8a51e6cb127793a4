"""Resumable uploads against the web process: pieces, offsets, checksums, a killed server, the sweep."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from core.access.service import membership_remove, membership_set
from core.documents.storage import uploads_folder
from core.host.process import wait_until
from core.jobs.uploads import uploads_sweep

pytestmark = pytest.mark.services

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}
CONTENT = os.urandom(3 * 1024 * 1024 + 17)


def described(**fields: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}".strip() for name, value in fields.items())


@pytest.fixture(autouse=True)
def _no_bytes_of_other_tests(clean_database) -> None:
    uploads_sweep(now=datetime.now(tz=UTC))


def begun(who, size: int = len(CONTENT), **fields: str) -> httpx.Response:
    fields = {"filename": "sea.bin", "collection": str(who.collection.pk), **fields}
    return who.http.post(
        "/api/uploads/", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": described(**fields)}
    )


def sent(who, place: str, offset: int, piece: bytes, **headers: str) -> httpx.Response:
    return who.http.patch(place, content=piece, headers={**PIECE, "Upload-Offset": str(offset), **headers})


def offset_of(who, place: str) -> int:
    return int(who.http.head(place, headers=TUS).headers["Upload-Offset"])


class TestProtocol:
    def test_the_server_says_what_it_can(self, web):
        told = httpx.options(f"{web.url}/api/uploads/")

        assert told.status_code == 204
        assert told.headers["Tus-Version"] == "1.0.0"
        assert set(told.headers["Tus-Extension"].split(",")) == {"creation", "expiration", "checksum", "termination"}
        assert int(told.headers["Tus-Max-Size"]) > 2**30

    def test_pieces_become_the_document(self, ann):
        place = begun(ann, title="The sea", tags="salt,water", metadata='{"year": 2021}', date="2021-05-04").headers[
            "Location"
        ]

        first = sent(ann, place, 0, CONTENT[:1000])
        last = sent(ann, place, 1000, CONTENT[1000:])

        assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
        assert "Cloister-Document" not in first.headers
        assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(CONTENT)))
        document = ann.http.get(f"/api/documents/{last.headers['Cloister-Document']}").json()
        assert document["sha256"] == hashlib.sha256(CONTENT).hexdigest()
        assert (document["title"], document["tags"], document["date"]) == ("The sea", ["salt", "water"], "2021-05-04")
        assert document["state"] == "queued"
        assert ann.http.get(f"/api/documents/{document['id']}/content").content == CONTENT
        assert list(uploads_folder().iterdir()) == []
        assert ann.http.head(place, headers=TUS).headers["Cloister-Document"] == document["id"]

    def test_an_empty_file_is_whole_at_once(self, ann):
        made = begun(ann, 0)

        assert made.status_code == 201
        assert ann.http.get(f"/api/documents/{made.headers['Cloister-Document']}").json()["size_bytes"] == 0

    def test_another_offset_is_refused_and_changes_nothing(self, ann):
        place = begun(ann).headers["Location"]
        sent(ann, place, 0, CONTENT[:1000])

        assert sent(ann, place, 999, CONTENT[999:2000]).status_code == 409
        assert sent(ann, place, 1001, CONTENT[1001:2000]).status_code == 409
        assert offset_of(ann, place) == 1000

    def test_another_version_is_refused(self, ann):
        place = begun(ann).headers["Location"]

        refused = ann.http.head(place, headers={"Tus-Resumable": "0.2.2"})

        assert (refused.status_code, refused.headers["Tus-Version"]) == (412, "1.0.0")

    @pytest.mark.parametrize("digest", ["sha1", "sha256"])
    def test_a_damaged_piece_is_refused_and_can_be_sent_again(self, ann, digest):
        place = begun(ann).headers["Location"]
        checksum = base64.b64encode(hashlib.new(digest, CONTENT).digest()).decode()

        damaged = sent(ann, place, 0, b"\x00" + CONTENT[1:], **{"Upload-Checksum": f"{digest} {checksum}"})
        offset = offset_of(ann, place)
        whole = sent(ann, place, 0, CONTENT, **{"Upload-Checksum": f"{digest} {checksum}"})

        assert (damaged.status_code, offset, whole.status_code) == (460, 0, 204)

    def test_a_piece_beyond_the_end_is_refused_whole(self, ann):
        place = begun(ann, 1000).headers["Location"]

        assert sent(ann, place, 0, CONTENT[:1001]).status_code == 413
        assert offset_of(ann, place) == 0

    def test_a_piece_of_another_type_is_refused(self, ann):
        place = begun(ann).headers["Location"]

        assert sent(ann, place, 0, b"x", **{"Content-Type": "text/plain"}).status_code == 415

    def test_one_that_was_ended_is_gone(self, ann):
        place = begun(ann).headers["Location"]

        assert ann.http.delete(place, headers=TUS).status_code == 204

        assert ann.http.head(place, headers=TUS).status_code == 404
        assert list(uploads_folder().iterdir()) == []

    def test_a_client_without_patch_may_say_so(self, ann):
        place = begun(ann, 3).headers["Location"]

        headers = {**PIECE, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
        assert ann.http.post(place, content=b"sea", headers=headers).status_code == 204


class TestRefusals:
    def test_too_large_a_file_is_refused_before_it_is_sent(self, ann):
        refused = begun(ann, 10**15)

        assert refused.status_code == 413
        assert "limit is 4096 MiB" in refused.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"filename": ""}, "filename"),
            ({"collection": ""}, "collection"),
            ({"date": "tomorrow"}, "date"),
            ({"metadata": "{"}, "metadata"),
        ],
    )
    def test_what_cannot_be_is_named(self, ann, fields, word):
        refused = begun(ann, **fields)

        assert refused.status_code == 400
        assert word in refused.json()["error"]["message"]

    def test_a_length_has_to_be_given(self, ann):
        assert ann.http.post("/api/uploads", headers=TUS).status_code == 400

    def test_without_a_token_nothing_is_taken(self, web):
        assert httpx.post(f"{web.url}/api/uploads", headers={**TUS, "Upload-Length": "1"}).status_code == 401

    def test_a_reader_of_the_collection_may_not_add(self, ann, ben):
        membership_set(collection=ann.collection, role="viewer", user=ben.user)

        assert begun(ben, collection=str(ann.collection.pk)).status_code == 403

    def test_a_role_that_was_taken_away_ends_the_upload(self, ann, ben):
        membership_set(collection=ann.collection, role="editor", user=ben.user)
        place = begun(ben, collection=str(ann.collection.pk)).headers["Location"]
        sent(ben, place, 0, CONTENT[:10])

        membership_remove(collection=ann.collection, user=ben.user)

        assert sent(ben, place, 10, CONTENT[10:]).status_code == 404

    @pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
    def test_a_foreign_upload_answers_like_one_that_does_not_exist(self, ann, ben, method):
        place = begun(ann).headers["Location"]
        nowhere = str(uuid.uuid4())
        foreign = place.rsplit("/", 1)[1]

        told, of_nothing = (
            ben.http.request(method, f"/api/uploads/{one}", headers={**PIECE, "Upload-Offset": "0"})
            for one in (foreign, nowhere)
        )

        assert told.status_code == of_nothing.status_code == 404
        assert told.text.replace(foreign, nowhere) == of_nothing.text


class TestInterruptions:
    def broken_off(self, who, place: str, offset: int, piece: bytes) -> None:
        """Announce the rest of the file, send a piece of it, and hang up."""
        url = urlsplit(str(who.http.base_url))
        connection = http.client.HTTPConnection(url.hostname, url.port)
        connection.putrequest("PATCH", place)
        for name, value in {**PIECE, **who.headers, "Upload-Offset": str(offset)}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(CONTENT) - offset))
        connection.endheaders()
        connection.send(piece)
        connection.close()

    def test_what_came_before_the_connection_broke_is_kept(self, ann):
        place = begun(ann).headers["Location"]

        self.broken_off(ann, place, 0, CONTENT[:2_000_000])
        wait_until(lambda: offset_of(ann, place) > 0, timeout_s=10, what="an offset after the broken connection")
        wait_until(lambda: sent(ann, place, 0, b"").status_code == 409, timeout_s=10, what="the end of that request")

        offset = offset_of(ann, place)
        assert 0 < offset <= 2_000_000
        whole = sent(ann, place, offset, CONTENT[offset:])
        told = ann.http.get(f"/api/documents/{whole.headers['Cloister-Document']}").json()
        assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()

    def test_a_killed_server_goes_on_where_it_was(self, ann, web):
        place = begun(ann).headers["Location"]
        sent(ann, place, 0, CONTENT[:1_500_000])

        web.kill()
        web.start()

        assert offset_of(ann, place) == 1_500_000
        whole = sent(ann, place, 1_500_000, CONTENT[1_500_000:])
        told = ann.http.get(f"/api/documents/{whole.headers['Cloister-Document']}").json()
        assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()

    def test_a_whole_file_whose_server_ended_becomes_its_document_when_asked_for(self, ann):
        place = begun(ann, 3).headers["Location"]
        (uploads_folder() / place.rsplit("/", 1)[1]).write_bytes(b"sea")

        told = ann.http.head(place, headers=TUS)

        assert ann.http.get(f"/api/documents/{told.headers['Cloister-Document']}").json()["size_bytes"] == 3


class TestSweep:
    def test_what_nobody_continues_goes(self, ann):
        place = begun(ann).headers["Location"]
        sent(ann, place, 0, CONTENT[:10])

        assert uploads_sweep(now=datetime.now(tz=UTC)) == 0
        assert offset_of(ann, place) == 10
        assert uploads_sweep(now=datetime.now(tz=UTC) + timedelta(days=2)) == 1

        assert ann.http.head(place, headers=TUS).status_code == 404
        assert list(uploads_folder().iterdir()) == []

    def test_bytes_of_an_erased_collection_go(self, ann):
        begun(ann)
        ann.http.delete(f"/api/collections/{ann.collection.pk}")

        assert uploads_sweep(now=datetime.now(tz=UTC)) == 1
