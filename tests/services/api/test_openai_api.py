"""What OpenAI's clients meet under /v1: who gets in, what is refused and how, files and vector stores."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Callable
from contextlib import aclosing

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client

from core.access.service import collection_create, membership_set, token_create, user_create
from core.chat_stream import ChatCall, ChatTurn, chat_event, chat_events, chat_is_wanted, chat_start
from core.remote import broker
from core.settings.env import child_environment, environment_set
from core.task_names import QUEUE_INTERACTIVE

pytestmark = pytest.mark.services

LANGUAGE, EMBEDDER = "smollm2-135m-instruct", "all-minilm-l6-v2"
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


class ApiUser:
    """A user with a token."""

    def __init__(self, name: str) -> None:
        self.user = user_create(name=name)
        self.headers = {"Authorization": f"Bearer {token_create(self.user)}"}
        self._client = Client()

    def get(self, path: str):
        return self._client.get(f"/v1/{path}", headers=self.headers)

    def post(self, path: str, body: object):
        return self._client.post(f"/v1/{path}", json.dumps(body), content_type="application/json", headers=self.headers)

    def form(self, path: str, **fields: object):
        return self._client.post(f"/v1/{path}", fields, headers=self.headers)

    def upload(self, name: str, content: bytes, **fields: object):
        return self.form("files", file=SimpleUploadedFile(name, content), **fields)

    def delete(self, path: str):
        return self._client.delete(f"/v1/{path}", headers=self.headers)

    def chat(self, **fields: object):
        body = {"model": LANGUAGE, "messages": [{"role": "user", "content": "hello"}], **fields}
        return self.post("chat/completions", body)


@pytest.fixture
def alice(clean_database) -> ApiUser:
    return ApiUser("alice")


@pytest.fixture
def bob(clean_database) -> ApiUser:
    return ApiUser("bob")


def refusal(response, status: int) -> dict:
    assert response.status_code == status, response.content
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


class TestTokens:
    @pytest.mark.parametrize("path", ["models", "files", "vector_stores", "chat/completions"])
    def test_without_one_nothing_is_told(self, clean_database, path):
        assert refusal(Client().get(f"/v1/{path}"), 401)["type"] == "authentication_error"

    def test_the_session_of_the_pages_is_none(self, alice):
        client = Client()
        client.force_login(alice.user)

        refusal(client.get("/v1/models"), 401)

    def test_a_wrong_one_is_refused_everywhere(self, clean_database):
        headers = {"Authorization": "Bearer " + "0" * 64}

        assert refusal(Client().get("/v1/models", headers=headers), 401)["code"] == "invalid_api_key"
        assert refusal(Client().post("/v1/chat/completions", headers=headers), 401)["code"] == "invalid_api_key"


class TestModels:
    def test_each_is_listed_with_its_role_and_found_by_both_names(self, alice):
        listed = {one["role"]: one["id"] for one in alice.get("models").json()["data"]}

        assert listed["language"] == LANGUAGE
        assert listed["text"] == EMBEDDER
        assert len(set(listed.values())) == len(listed)
        for role, name in listed.items():
            assert alice.get(f"models/{name}").json() == alice.get(f"models/{role}").json()

    def test_an_unknown_one_is_answered_with_what_is_there(self, alice):
        for response in (alice.get("models/gpt-4o"), alice.chat(model="gpt-4o")):
            error = refusal(response, 404)

            assert error["code"] == "model_not_found"
            assert LANGUAGE in error["message"]

    def test_one_that_cannot_do_it_is_refused_with_one_that_can(self, alice):
        error = refusal(alice.post("embeddings", {"model": LANGUAGE, "input": "hello"}), 400)

        assert EMBEDDER in error["message"]

    def test_reranking_without_a_reranker_says_so(self, alice):
        body = {"model": "rerank-v3", "query": "tide", "documents": ["the tide"]}

        assert "no role reranker" in refusal(alice.post("rerank", body), 404)["message"]


ADDRESSES = [
    "https://example.org/cat.png",
    "HTTP://example.org",
    "file:///etc/passwd",
    "file:/etc/passwd",
    " ftp://a/b ",
]


class TestAddresses:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_one_in_a_picture_part_is_refused(self, alice, address):
        parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": address}}]

        error = refusal(alice.chat(messages=[{"role": "user", "content": parts}]), 400)

        assert error["code"] == "url_not_allowed"
        assert error["param"] == "messages[0].content[1].image_url.url"

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("embeddings", {"model": EMBEDDER, "input": ["plain", ADDRESSES[0]]}),
            ("embeddings", {"model": "conse", "input": [{"image": ADDRESSES[0]}]}),
            ("rerank", {"model": "reranker", "query": "a", "documents": [ADDRESSES[2]]}),
            ("chat/completions", {"model": LANGUAGE, "messages": [], "user": ADDRESSES[0]}),
        ],
    )
    def test_one_anywhere_is_refused(self, alice, path, body):
        assert refusal(alice.post(path, body), 400)["code"] == "url_not_allowed"

    def test_one_in_a_form_is_refused(self, alice):
        for path in ("audio/transcriptions", "files"):
            assert refusal(alice.form(path, file=ADDRESSES[0], model="speech"), 400)["code"] == "url_not_allowed"


class TestChatRequests:
    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"n": 2}, "n"),
            ({"top_p": 0.5}, "top_p"),
            ({"tools": [{"type": "function"}]}, "tools"),
            ({"logprobs": True}, "logprobs"),
            ({"invented": 1}, "invented"),
            ({"temperature": 3}, "temperature"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"seed": "x"}, "seed"),
            ({"stop": ["a"] * 5}, "stop"),
            ({"stream_options": {"include_usage": True}}, "stream_options"),
            ({"response_format": {"type": "json_schema"}}, "response_format"),
            ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}}, "response_format"),
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0]"),
            ({"model": 7}, "model"),
        ],
    )
    def test_what_would_not_be_heeded_is_refused_by_name(self, alice, fields, param):
        assert refusal(alice.chat(**fields), 400)["param"] == param

    def test_a_body_that_is_no_json_is_refused(self, alice):
        response = Client().post("/v1/chat/completions", b"{", content_type="application/json", headers=alice.headers)

        assert refusal(response, 400)["code"] == "invalid_json"

    def test_a_foreign_collection_is_like_none(self, alice, bob):
        collection = collection_create(user=bob.user, name="secrets")

        foreign = refusal(alice.chat(collection=str(collection.pk)), 404)
        absent = refusal(alice.chat(collection=str(uuid.uuid4())), 404)

        assert foreign["code"] == absent["code"]
        assert (
            foreign["message"].replace(str(collection.pk), "")
            == foreign["message"][: -len(str(collection.pk)) - 1] + "'"
        )

    def test_a_foreign_picture_is_like_none(self, alice, bob):
        file = bob.upload("cat.png", b"\x89PNG").json()["id"]
        part = {"type": "image_file", "image_file": {"file_id": file}}

        assert file in refusal(alice.chat(messages=[{"role": "user", "content": [part]}]), 404)["message"]

    def test_too_many_pictures_are_too_large(self, alice):
        parts = [{"type": "image_url", "image_url": {"url": PIXEL}}] * 9

        assert "8" in refusal(alice.chat(messages=[{"role": "user", "content": parts}]), 413)["message"]

    def test_beyond_the_limit_one_is_asked_to_wait(self, alice):
        before = child_environment().get("CLOISTER_QUESTIONS_PER_MINUTE", "600")
        environment_set(CLOISTER_QUESTIONS_PER_MINUTE="1")
        try:
            responses = [alice.chat(collection="none") for _ in range(3)]
        finally:
            environment_set(CLOISTER_QUESTIONS_PER_MINUTE=before)

        limited = [one for one in responses if one.status_code == 429]
        assert limited
        assert refusal(limited[0], 429)["code"] == "rate_limit_exceeded"
        assert int(limited[0].headers["Retry-After"]) >= 1


class TestHostileRequests:
    @pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
    def test_characters_that_are_no_text_are_refused(self, alice, text):
        for path, body in (
            ("embeddings", {"model": EMBEDDER, "input": text}),
            ("chat/completions", {"model": text}),
            ("rerank", {"model": text}),
            ("rerank", {text: 1}),
            ("chat/completions", {"model": LANGUAGE, "messages": [{"role": [text]}]}),
        ):
            refusal(alice.post(path, body), 400)

    @pytest.mark.parametrize("path", ["embeddings", "chat/completions"])
    @pytest.mark.parametrize("depth", [100, 100_000])
    def test_a_bottomless_request_is_refused(self, alice, path, depth):
        body = '{"input":' + "[" * depth + "]" * depth + "}"

        response = Client().post(f"/v1/{path}", body, content_type="application/json", headers=alice.headers)

        refusal(response, 400)

    @pytest.mark.parametrize("path", ["embeddings", "chat/completions"])
    def test_one_beyond_the_limit_is_too_large(self, alice, path, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

        refusal(alice.post(path, {"input": "a" * 2000}), 413)

    def test_an_address_that_is_none_is_answered_in_the_same_shape(self, alice):
        assert "/v1/assistants" in refusal(alice.get("assistants"), 404)["message"]


class TestEmbeddingRequests:
    @pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
    def test_token_ids_of_another_model_are_refused(self, alice, tokens):
        error = refusal(alice.post("embeddings", {"model": EMBEDDER, "input": tokens}), 400)

        assert "check_embedding_ctx_length" in error["message"]

    def test_an_empty_text_is_refused(self, alice):
        assert refusal(alice.post("embeddings", {"model": EMBEDDER, "input": ["a", " "]}), 400)["param"] == "input"

    @pytest.mark.parametrize("dimensions", [64, "384", True])
    def test_other_dimensions_are_refused(self, alice, dimensions):
        error = refusal(alice.post("embeddings", {"model": EMBEDDER, "input": "a", "dimensions": dimensions}), 400)

        assert "384" in error["message"]

    def test_too_many_are_too_large(self, alice):
        assert "2048" in refusal(alice.post("embeddings", {"model": EMBEDDER, "input": ["a"] * 2049}), 413)["message"]


class TestFiles:
    def test_an_uploaded_one_is_listed_read_and_erased(self, alice):
        made = alice.upload("tide.txt", b"the tide rises", purpose="assistants").json()

        assert (made["object"], made["bytes"], made["filename"]) == ("file", 14, "tide.txt")
        assert alice.get("files").json()["data"] == [made]
        assert alice.get(f"files/{made['id']}").json() == made
        content = Client().get(
            f"/v1/files/{made['id']}/content", headers={**alice.headers, "Accept": "application/binary"}
        )
        assert b"".join(content.streaming_content) == b"the tide rises"
        assert alice.delete(f"files/{made['id']}").json()["deleted"] is True
        refusal(alice.get(f"files/{made['id']}"), 404)

    def test_strangers_are_told_the_same_as_of_none(self, alice, bob):
        file = alice.upload("tide.txt", b"the tide rises").json()["id"]
        absent = f"file-{uuid.uuid4().hex}"

        for call in (bob.get, bob.delete):
            foreign, none = refusal(call(f"files/{file}"), 404), refusal(call(f"files/{absent}"), 404)
            assert foreign["message"].replace(file, absent) == none["message"]
        assert bob.get("files").json()["data"] == []

    def test_pages_follow_each_other(self, alice):
        made = [alice.upload(f"{name}.txt", name.encode()).json()["id"] for name in ("one", "two", "three")]

        first = alice.get("files?limit=2&order=asc").json()
        rest = alice.get(f"files?limit=2&order=asc&after={first['last_id']}").json()

        assert [one["id"] for one in first["data"] + rest["data"]] == made
        assert (first["has_more"], rest["has_more"]) == (True, False)

    def test_a_reader_may_not_put_one_into_a_collection(self, alice, bob):
        collection = collection_create(user=bob.user, name="papers")
        membership_set(collection=collection, user=alice.user, role="viewer")

        error = refusal(alice.upload("a.txt", b"a", collection=f"vs_{collection.pk.hex}"), 403)

        assert error["type"] == "permission_error"

    def test_metadata_comes_with_it(self, alice):
        file = alice.upload("a.txt", b"a", **{"metadata[year]": "2021"}).json()["id"]

        assert alice.get(f"files/{file}").json()["metadata"] == {"year": 2021}


class TestVectorStores:
    def test_are_the_collections_that_one_may_see(self, alice, bob):
        mine = collection_create(user=alice.user, name="papers")
        theirs = collection_create(user=bob.user, name="secrets")

        listed = alice.get("vector_stores").json()["data"]

        assert [(one["id"], one["name"]) for one in listed] == [(f"vs_{mine.pk.hex}", "papers")]
        foreign = refusal(alice.post(f"vector_stores/vs_{theirs.pk.hex}/search", {"query": "a"}), 404)
        none = refusal(alice.post(f"vector_stores/vs_{uuid.UUID(int=0).hex}/search", {"query": "a"}), 404)
        assert foreign["message"].replace(theirs.pk.hex, "0" * 32) == none["message"]

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"query": ""}, "query"),
            ({"query": "a", "max_num_results": 51}, "max_num_results"),
            ({"query": "a", "filters": {"type": "like", "key": "kind", "value": "x"}}, "like"),
            ({"query": "a", "ranking_options": {"ranker": "magic"}}, "ranker"),
        ],
    )
    def test_what_cannot_be_is_named(self, alice, fields, named):
        mine = collection_create(user=alice.user, name="papers")

        assert named in refusal(alice.post(f"vector_stores/vs_{mine.pk.hex}/search", fields), 400)["message"]


class TestHangingUp:
    """On the real broker, before a worker comes into it."""

    def test_a_closed_reader_ends_the_chat(self, clean_database):
        async def read_one(chat_id: str) -> None:
            async with aclosing(chat_events(chat_id)) as events:
                async for item in events:
                    if item is not None:
                        assert item == ("token", {"text": "once"})
                        return

        chat_id = uuid.uuid4().hex
        chat_start(chat_id, ChatCall(turns=(ChatTurn(role="user", content="hello"),)), deadline_s=5)
        chat_event(chat_id, "token", {"text": "once"})
        assert chat_is_wanted(chat_id)

        asyncio.run(read_one(chat_id))

        assert not chat_is_wanted(chat_id)

    def test_a_cancelled_request_ends_the_chat(self, alice):
        def is_ended() -> bool:
            return not broker().keys("cloister:chat:*:reader")

        asyncio.run(ask_and_hang_up(alice, {}, is_ended=is_ended))

    def test_a_cancelled_request_to_a_collection_cancels_its_answer(self, alice):
        collection = collection_create(user=alice.user, name="papers")

        def is_ended() -> bool:
            return bool(broker().keys("cloister:answer:*:cancel"))

        fields = {"collection": str(collection.pk)}
        asyncio.run(ask_and_hang_up(alice, fields, is_ended=is_ended))


async def ask_and_hang_up(user: ApiUser, fields: dict, *, is_ended: Callable[[], bool]) -> None:
    """Send a chat, hang up as soon as a worker could take it, and wait at most a second for its end."""
    body = json.dumps({"model": LANGUAGE, "messages": [{"role": "user", "content": "hello"}], **fields})
    asking = asyncio.create_task(
        AsyncClient().post("/v1/chat/completions", body, content_type="application/json", headers=user.headers)
    )
    async with asyncio.timeout(20):
        while not broker().llen(QUEUE_INTERACTIVE):
            await asyncio.sleep(0.02)
    asking.cancel()
    async with asyncio.timeout(1):
        while not is_ended():
            await asyncio.sleep(0.02)
