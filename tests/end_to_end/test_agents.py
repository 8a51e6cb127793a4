"""The MCP tools and the whole schema against a whole stack: what an agent asks, and what nobody should send."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from core.access.service import token_create, user_create
from core.host.secrets import secret
from core.settings.env import REPOSITORY, child_environment

pytestmark = pytest.mark.weights

COLLECTION = "agents"
SAMPLE = REPOSITORY / "configs" / "samples" / "tide-gauge.txt"
QUESTION = "In which storm was the hut of the tide gauge lost?"
NEEDS_A_WORKER = "^/api/(search|status|answers/.*/events)"
CANCELLED_WITHIN_S = 1.0


@pytest.fixture(scope="module")
def document(stack) -> dict[str, Any]:
    [one] = stack.ingest([SAMPLE], collection=COLLECTION)
    assert one["state"] == "ready", one
    return one


@pytest.fixture(scope="module")
def stranger_token(stack, django_db_blocker) -> str:
    with django_db_blocker.unblock():
        return token_create(user_create(name="agent-stranger"))


def with_client(url: str, token: str, act: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=300) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            return await act(client)

    return anyio.run(run)


class TestMcp:
    def test_a_passage_is_found_and_its_document_read(self, stack, document):
        async def act(client: Client) -> tuple[Any, Any]:
            found = await client.call_tool("search", {"query": QUESTION, "collection": COLLECTION, "limit": 3})
            first = found.structured_content["hits"][0]
            read = await client.call_tool("get_document", {"document_id": first["document"]["id"]})
            return first, read.structured_content

        first, read = with_client(stack.url, secret(stack.home, "cli_token"), act)

        assert first["document"]["id"] == document["id"]
        assert any(first["segment"] == one["segment"] for one in read["segments"])
        assert "hut" in " ".join(one["text"] for one in read["segments"])

    def test_an_answer_cites_its_source(self, stack, document):
        answer = with_client(
            stack.url,
            secret(stack.home, "cli_token"),
            lambda client: client.call_tool("ask", {"question": QUESTION, "collection": COLLECTION}),
        ).structured_content

        assert answer["state"] == "done"
        assert {one["document"] for one in answer["citations"]} == {document["id"]}

    def test_a_stranger_finds_nothing(self, stack, document, stranger_token):
        found = with_client(stack.url, stranger_token, lambda client: client.call_tool("search", {"query": QUESTION}))

        assert found.structured_content["hits"] == []


class TestCancelling:
    def test_generation_ends_within_a_second(self, stack, document):
        answer = stack.client.request("POST", "/api/answers", json={"question": QUESTION, "collection": COLLECTION})
        place = f"{stack.url}/api/answers/{answer['id']}"
        headers = {"Authorization": f"Bearer {secret(stack.home, 'cli_token')}"}
        cancelled_s = None

        with httpx.stream("GET", f"{place}/events", headers=headers, timeout=300) as response:
            for line in response.iter_lines():
                if line == "event: token" and cancelled_s is None:
                    assert httpx.delete(place, headers=headers).status_code == 204
                    cancelled_s = time.monotonic()
                if line in ("event: done", "event: error"):
                    break

        assert cancelled_s is not None, "no token came"
        assert time.monotonic() - cancelled_s < CANCELLED_WITHIN_S
        assert stack.client.request("GET", f"/api/answers/{answer['id']}")["state"] in ("cancelled", "done")


class TestFuzzing:
    def test_no_request_makes_a_worker_fail(self, stack, document, stranger_token, tmp_path):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                f"{stack.url}/api/schema?format=json",
                f"--header=Authorization: Bearer {stranger_token}",
                "--checks=not_a_server_error",
                "--phases=coverage,fuzzing",
                f"--include-path-regex={NEEDS_A_WORKER}",
                "--max-examples=6",
                "--seed=1",
                "--suppress-health-check=all",
                "--continue-on-failure",
                "--request-timeout=60",
                "--warnings=off",
                "--no-color",
            ],
            cwd=tmp_path,
            env=child_environment(PYTHONPATH=str(REPOSITORY)),
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert re.search(r"[1-9]\d* passed", done.stdout)
