"""The REST API on real services: tokens, collections, documents, and what strangers are told."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core.access.service import token_create, user_create

pytestmark = pytest.mark.services


class ApiUser:
    """A user with a token and a client of their own."""

    def __init__(self, name: str) -> None:
        self.user = user_create(name=name)
        self._headers = {"Authorization": f"Bearer {token_create(self.user)}"}
        self._client = Client()

    def get(self, path: str, **headers: str):
        return self._client.get(path, headers={**self._headers, **headers})

    def post(self, path: str, body: dict):
        return self._client.post(path, json.dumps(body), content_type="application/json", headers=self._headers)

    def upload(self, name: str, content: bytes, collection: str):
        file = SimpleUploadedFile(name, content)
        return self._client.post("/api/documents", {"collection": collection, "file": file}, headers=self._headers)

    def delete(self, path: str):
        return self._client.delete(path, headers=self._headers)


def sent_bytes(response) -> bytes:
    async def joined() -> bytes:
        return b"".join([chunk async for chunk in response.streaming_content])

    return asyncio.run(joined())


@pytest.fixture
def alice(clean_database) -> ApiUser:
    return ApiUser("alice")


@pytest.fixture
def bob(clean_database) -> ApiUser:
    return ApiUser("bob")


class TestTokens:
    def test_without_a_token_nothing_is_told(self, clean_database):
        for path in ("/api/collections", "/api/documents", f"/api/documents/{uuid.uuid4()}"):
            response = Client().get(path)

            assert response.status_code == 401
            assert response.json()["error"]["code"] == "not_authenticated"

    def test_a_wrong_token_is_refused(self, clean_database):
        response = Client().get("/api/collections", headers={"Authorization": "Bearer " + "0" * 64})

        assert response.status_code == 401

    def test_the_server_says_that_it_is_ready_to_anybody(self, clean_database):
        assert Client().get("/api/status").json() == {"web": "ready"}


class TestCollections:
    def test_one_that_was_made_is_listed_to_its_maker_alone(self, alice, bob):
        made = alice.post("/api/collections", {"name": "papers"})

        assert made.status_code == 201
        assert [one["name"] for one in alice.get("/api/collections").json()["collections"]] == ["papers"]
        assert bob.get("/api/collections").json()["collections"] == []

    def test_a_member_sees_it_until_the_role_is_taken_away(self, alice, bob):
        made = alice.post("/api/collections", {"name": "papers"}).json()
        members = f"/api/collections/{made['id']}/members"

        alice.post(members, {"user": "bob", "role": "viewer"})
        assert len(bob.get("/api/collections").json()["collections"]) == 1

        alice.post(members, {"user": "bob", "role": ""})
        assert bob.get("/api/collections").json()["collections"] == []

    def test_a_viewer_may_not_add_documents(self, alice, bob):
        made = alice.post("/api/collections", {"name": "papers"}).json()
        alice.post(f"/api/collections/{made['id']}/members", {"user": "bob", "role": "viewer"})

        refused = bob.upload("a.txt", b"text", made["id"])

        assert refused.status_code == 403


class TestDocuments:
    def test_an_upload_is_stored_and_queued(self, alice):
        sent = alice.upload("note.txt", b"The fee is forty euros.", "papers")

        assert sent.status_code == 201
        body = sent.json()
        assert (body["state"], body["title"], body["created"]) == ("queued", "note.txt", True)
        assert alice.get(f"/api/documents/{body['id']}").json()["sha256"] == body["sha256"]

    def test_the_same_bytes_are_the_same_document(self, alice):
        first = alice.upload("note.txt", b"The fee is forty euros.", "papers").json()
        again = alice.upload("other.txt", b"The fee is forty euros.", "papers")

        assert again.status_code == 200
        assert again.json()["id"] == first["id"]

    def test_inline_text_is_a_document(self, alice):
        sent = alice.post("/api/documents", {"collection": "papers", "title": "Note", "content": "Some words."})

        assert sent.status_code == 201
        assert sent.json()["title"] == "Note"

    def test_several_files_are_the_parts_of_one(self, alice):
        files = [SimpleUploadedFile("a.txt", b"one"), SimpleUploadedFile("b.txt", b"two")]

        sent = alice._client.post(
            "/api/documents", {"collection": "papers", "title": "Both", "file": files}, headers=alice._headers
        )

        assert sent.status_code == 201
        assert sent.json()["size_bytes"] == 6

    def test_a_document_without_content_is_refused_with_a_sentence(self, alice):
        refused = alice.post("/api/documents", {"collection": "papers", "title": "Note"})

        assert refused.status_code == 400
        assert "send a file" in refused.json()["error"]["message"]

    def test_the_bytes_come_back(self, alice):
        sent = alice.upload("note.txt", b"The fee is forty euros.", "papers").json()

        content = alice.get(f"/api/documents/{sent['id']}/content")

        assert sent_bytes(content) == b"The fee is forty euros."
        assert content["X-Content-Type-Options"] == "nosniff"

    @pytest.mark.parametrize(
        ("asked", "status", "content", "content_range"),
        [
            ("bytes=4-6", 206, b"fee", "bytes 4-6/23"),
            ("bytes=17-", 206, b"euros.", "bytes 17-22/23"),
            ("bytes=-6", 206, b"euros.", "bytes 17-22/23"),
            ("bytes=17-999", 206, b"euros.", "bytes 17-22/23"),
            ("bytes=23-", 416, b"", "bytes */23"),
            ("bytes=0-1,4-5", 200, b"The fee is forty euros.", None),
            ("lines=1-2", 200, b"The fee is forty euros.", None),
        ],
    )
    def test_a_range_of_the_bytes_comes_back(self, alice, asked, status, content, content_range):
        sent = alice.upload("note.txt", b"The fee is forty euros.", "papers").json()

        answer = alice.get(f"/api/documents/{sent['id']}/content", Range=asked)

        assert answer.status_code == status
        assert sent_bytes(answer) == content
        assert answer["Content-Length"] == str(len(content))
        assert answer.get("Content-Range") == content_range

    def test_erasing_leaves_a_receipt_and_no_document(self, alice):
        sent = alice.upload("note.txt", b"The fee is forty euros.", "papers").json()

        receipt = alice.delete(f"/api/documents/{sent['id']}")

        assert receipt.status_code == 200
        assert receipt.json()["sha256"] == sent["sha256"]
        assert alice.get(f"/api/documents/{sent['id']}").status_code == 404


class TestStrangers:
    @pytest.mark.parametrize("suffix", ["", "/content"])
    def test_a_foreign_document_answers_like_one_that_does_not_exist(self, alice, bob, suffix):
        foreign = alice.upload("note.txt", b"secret", "papers").json()["id"]
        nowhere = str(uuid.uuid4())

        told = bob.get(f"/api/documents/{foreign}{suffix}")
        of_nothing = bob.get(f"/api/documents/{nowhere}{suffix}")

        assert told.status_code == of_nothing.status_code == 404
        assert told.content.decode().replace(foreign, nowhere) == of_nothing.content.decode()

    def test_a_foreign_collection_answers_like_one_that_does_not_exist(self, alice, bob):
        foreign = alice.post("/api/collections", {"name": "papers"}).json()["id"]
        nowhere = str(uuid.uuid4())

        for path, body in (("/api/answers", {"question": "What?"}), ("/api/documents", {"title": "t", "content": "c"})):
            told = bob.post(path, {**body, "collection": foreign})
            of_nothing = bob.post(path, {**body, "collection": nowhere})

            assert told.status_code == of_nothing.status_code == 404
            assert told.content.decode().replace(foreign, nowhere) == of_nothing.content.decode()

    def test_uploading_a_foreign_documents_bytes_tells_nothing(self, alice, bob):
        alice.upload("note.txt", b"secret", "papers")

        own = bob.upload("note.txt", b"secret", "mine")

        assert own.status_code == 201
        assert own.json()["created"]


class TestSchema:
    def test_it_is_served_and_names_every_address(self, alice):
        schema = alice.get("/api/schema?format=json").json()

        assert {"/api/search", "/api/answers", "/api/documents", "/api/collections"} <= set(schema["paths"])

    def test_its_pages_load_nothing_from_elsewhere(self, alice):
        page = alice.get("/api/docs").content.decode()

        assert "https://" not in page.replace("https://www.w3.org", "")
