"""Characters that no database column takes are refused with a sentence wherever text comes in."""

from __future__ import annotations

import base64

import pytest

from core.jobs.service import PartUpload, document_submit

pytestmark = pytest.mark.services

NULL, SURROGATE = "a\x00b", "\\ud800"


class TestNullCharacters:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/api/collections", {"name": NULL}),
            ("POST", "/api/answers", {"question": NULL, "collection": "c"}),
            ("POST", "/api/answers", {"question": "why", "collection": NULL}),
            ("POST", "/api/documents", {"collection": NULL, "title": "t", "content": "c"}),
            ("POST", "/api/documents", {"collection": "c", "title": NULL, "content": "c"}),
            ("POST", "/api/documents", {"collection": "c", "title": "t", "content": "c", "metadata": {"k": NULL}}),
            ("POST", "/api/documents", {"collection": "c", "title": "t", "content": "c", "tags": [NULL]}),
            ("GET", "/api/documents?collection=%00", None),
            ("GET", "/api/jobs?collection=%00", None),
            ("GET", "/api/audit?collection=%00", None),
            ("DELETE", "/api/tokens/a%00b", None),
        ],
    )
    def test_they_are_refused(self, ann, method, path, body):
        refused = ann.http.request(method, path, json=body)

        assert 400 <= refused.status_code < 500
        assert refused.json()["error"]["message"]

    def test_in_an_uploads_description_too(self, ann):
        named = f"filename {base64.b64encode(b'a').decode()},collection {base64.b64encode(NULL.encode()).decode()}"
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Metadata": named}

        assert ann.http.post("/api/uploads", headers=headers).status_code == 400


class TestHalvesOfCharacters:
    @pytest.mark.parametrize(
        "body",
        [
            '{"title": "%s"}',
            '{"tags": ["%s"]}',
            '{"metadata": {"k": "%s"}}',
            '{"metadata": {"%s": "v"}}',
        ],
    )
    def test_they_are_refused(self, ann, body):
        part = PartUpload(name="a.txt", content=b"words")
        document, _ = document_submit(user=ann.user, collection=ann.collection, parts=[part])

        refused = ann.http.patch(
            f"/api/documents/{document.pk}", content=body % SURROGATE, headers={"Content-Type": "application/json"}
        )

        assert refused.status_code == 400
