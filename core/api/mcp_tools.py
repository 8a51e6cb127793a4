"""The tools of the MCP server: each makes one domain call as the user of the token."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import anyio
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from core.access.acting import acting_as
from core.access.errors import CloisterError
from core.access.lookup import collection_by_name
from core.access.models import User
from core.access.service import visible_to
from core.answers.service import answer_cancel, answer_create, answer_get, answer_json
from core.answers.stream import FINAL_EVENTS, events_relay
from core.api.documents import document_json
from core.api.threads import in_thread
from core.api.throttles import user_throttle
from core.documents.service import document_get
from core.remote import WorkerRefused, WorkerUnavailable, query_embed
from core.search.service import segments_search
from inference.values import SEGMENT_KINDS

Result = TypeVar("Result")

DOCUMENT_PAGE_CHARS = 40_000
QUERY_MAX_CHARS = 4000

NO_NULL = r"^[^\x00]*$"
"""A null character is no text that the database could compare."""

CollectionName = Annotated[str, Field(description="Name or id of a collection.", max_length=200, pattern=NO_NULL)]
Kind = Literal[SEGMENT_KINDS]  # type: ignore[valid-type]


async def list_collections() -> dict[str, Any]:
    """List the collections that you may read, by name."""

    def listed(user: User) -> dict[str, Any]:
        with acting_as(user):
            found = list(visible_to(user).order_by("name"))
        return {"collections": [{"id": str(one.pk), "name": one.name} for one in found]}

    return await _as_caller(listed)


async def search(
    query: Annotated[
        str, Field(description="What to look for, in words.", min_length=1, max_length=QUERY_MAX_CHARS, pattern=NO_NULL)
    ],
    collection: CollectionName | None = None,
    kinds: Annotated[list[Kind] | None, Field(description="Only segments of these kinds.")] = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
    neighbours: Annotated[int, Field(ge=0, le=5, description="Passages before and after each hit.")] = 0,
) -> dict[str, Any]:
    """Find passages, pictures, and places of recordings by meaning; best first, each with document and anchor."""

    def found(user: User) -> dict[str, Any]:
        user_throttle(user, "search")
        collection_ids = [collection_by_name(user=user, name_or_id=collection).pk] if collection else None
        result = segments_search(
            user=user,
            embedder=query_embed,
            text=query,
            typed=True,
            collection_ids=collection_ids,
            kinds=tuple(kinds or ()),
            limit=limit,
            neighbours=neighbours,
            whole=False,
        )
        return result.as_json()

    return await _as_caller(found)


async def ask(
    question: Annotated[
        str, Field(description="One question.", min_length=1, max_length=QUERY_MAX_CHARS, pattern=NO_NULL)
    ],
    collection: CollectionName,
) -> dict[str, Any]:
    """Answer a question from one collection; every sentence cites its source, or the answer says it is refused."""
    user, answer_id = await _as_caller(partial(_asked, question=question, collection=collection))
    finished = False
    try:
        async for item in events_relay(str(answer_id)):
            if item is None or item[1] not in FINAL_EVENTS:
                continue
            finished = True
            answer: dict[str, Any] = json.loads(item[2])
            if item[1] == "error":
                raise ToolError(answer.get("error") or "the answer could not be made; ask again")
            return answer
    finally:
        if not finished:
            # Whoever asked is gone: generation ends with them.
            with anyio.CancelScope(shield=True):
                await in_thread(partial(answer_cancel, user=user, answer_id=answer_id))
    return answer_json(await in_thread(partial(answer_get, user=user, answer_id=answer_id)))


def _asked(user: User, *, question: str, collection: str) -> tuple[User, UUID]:
    user_throttle(user, "ask")
    found = collection_by_name(user=user, name_or_id=collection)
    return user, answer_create(user=user, collection_id=found.pk, question=question).pk


async def get_document(
    document_id: Annotated[UUID, Field(description="As a hit names it.")],
    first_segment: Annotated[int, Field(ge=0, description="Where to go on reading: the last answer's 'next'.")] = 0,
) -> dict[str, Any]:
    """Read what a document says, in reading order; a long one comes in several pages."""

    def read(user: User) -> dict[str, Any]:
        document = document_get(user=user, document_id=document_id)
        described = document_json(user, document)
        with acting_as(user):
            segments = document.segments.order_by("ordinal").filter(ordinal__gte=first_segment)
            page, follows = _page(segments.iterator())
        return {"document": described, "segments": page, "next": follows}

    return await _as_caller(read)


def _page(segments: Any) -> tuple[list[dict[str, Any]], int | None]:
    page: list[dict[str, Any]] = []
    left_chars = DOCUMENT_PAGE_CHARS
    for one in segments:
        if page and len(one.text) > left_chars:
            return page, one.ordinal
        left_chars -= len(one.text)
        page.append({"segment": str(one.pk), "kind": one.kind, "text": one.text, "anchor": one.anchor})
    return page, None


async def _as_caller(call: Callable[[User], Result]) -> Result:
    token = get_access_token()
    if token is None or token.subject is None:
        raise ToolError("nobody is logged in")
    pk = int(token.subject)

    def run() -> Result:
        return call(User.objects.get(pk=pk))

    try:
        return await in_thread(run)
    except (CloisterError, WorkerUnavailable, WorkerRefused) as error:
        raise ToolError(str(error)) from error
