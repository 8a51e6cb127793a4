"""The MCP server through the SDK's own client: the tokens, and what strangers are told."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from core.jobs.service import PartUpload, document_submit

pytestmark = pytest.mark.services

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@contextlib.asynccontextmanager
async def connected(who, mode: str = "auto") -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=who.headers, timeout=30) as http,
        Client(streamable_http_client(f"{who.http.base_url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def with_client(who, act: Callable[[Client], Any], mode: str = "auto") -> Any:
    async def run() -> Any:
        async with connected(who, mode) as client:
            return await act(client)

    return anyio.run(run)


def called(who, tool: str, mode: str = "auto", **arguments: Any) -> Any:
    return with_client(who, lambda client: client.call_tool(tool, arguments), mode)


def submitted(who, words: str) -> str:
    part = PartUpload(name="note.txt", content=words, kind="text")
    document, _ = document_submit(user=who.user, collection=who.collection, parts=[part])
    return str(document.pk)


class TestTools:
    def test_they_are_listed_with_what_they_take(self, ann):
        listed = with_client(ann, lambda client: client.list_tools())

        tools = {tool.name: tool for tool in listed.tools}
        assert set(tools) == {"search", "ask", "get_document", "list_collections"}
        assert "query" in tools["search"].input_schema["required"]

    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    def test_collections_are_those_of_the_tokens_user(self, ann, ben, mode):
        listed = called(ann, "list_collections", mode)

        assert listed.structured_content == {"collections": [{"id": str(ann.collection.pk), "name": "of ann"}]}

    def test_a_document_is_described(self, ann):
        own = submitted(ann, "The fee is forty euros.")

        told = called(ann, "get_document", document_id=own)

        assert not told.is_error
        assert told.structured_content["document"]["id"] == own


class TestStrangers:
    def test_a_foreign_document_is_told_of_like_one_that_does_not_exist(self, ann, ben):
        foreign, nowhere = submitted(ann, "secret"), str(uuid.uuid4())

        told, of_nothing = (called(ben, "get_document", document_id=one) for one in (foreign, nowhere))

        assert told.is_error
        assert told.content[0].text.replace(foreign, nowhere) == of_nothing.content[0].text

    @pytest.mark.parametrize(("tool", "words"), [("search", "query"), ("ask", "question")])
    def test_a_foreign_collection_is_told_of_like_one_that_does_not_exist(self, ann, ben, tool, words):
        foreign, nowhere = str(ann.collection.pk), str(uuid.uuid4())

        told, of_nothing = (called(ben, tool, **{words: "x", "collection": one}) for one in (foreign, nowhere))

        assert told.is_error
        assert told.content[0].text.replace(foreign, nowhere) == of_nothing.content[0].text

    def test_without_a_valid_token_nothing_is_answered(self, web):
        for headers in ({}, {"Authorization": "Bearer " + "0" * 64}):
            refused = httpx.post(f"{web.url}/mcp", json=INITIALIZE, headers={**ACCEPT, **headers})

            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")

    def test_a_revoked_token_ends_with_the_next_request(self, ann):
        assert ann.http.post("/mcp", json=INITIALIZE, headers=ACCEPT).status_code == 200

        ann.user.auth_token_set.all().delete()

        assert ann.http.post("/mcp", json=INITIALIZE, headers=ACCEPT).status_code == 401

    @pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
    def test_a_page_of_another_site_is_refused(self, ann, headers):
        refused = ann.http.post("/mcp", json=INITIALIZE, headers={**ACCEPT, **headers})

        assert refused.status_code == 421
