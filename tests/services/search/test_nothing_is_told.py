"""What a user may not see is not there: at every address, in every list, from the next request after a revocation."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver

from core.access.acting import acting_as, acting_as_system
from core.access.models import Collection, Role, User
from core.access.service import membership_remove, membership_set, token_create
from core.answers.models import Answer
from core.api.openai.file_ids import file_id, store_id
from core.documents.models import Document, DocumentState
from core.documents.service import PartUpload
from core.documents.storage import artefact_write
from core.jobs.models import Step
from core.jobs.service import document_submit
from core.remote import broker
from core.search.query_cache import QueryCache, QueryKey
from core.segments.models import Segment

pytestmark = pytest.mark.services

SECRET = "the grey heron is sold on friday"
CSRF_TOKEN = re.compile(r"[A-Za-z0-9]{64}")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
NOT_THERE = (403, 404, 405)

BODIES: dict[str, dict[str, Any]] = {
    "api/collections/<uuid:collection_id>": {"name": "renamed"},
    "api/collections/<uuid:collection_id>/members": {"user": "bob", "role": "viewer"},
    "api/documents/<uuid:document_id>": {"title": "renamed", "tags": ["a"]},
    "api/groups/<int:group_id>": {"users": ["bob"]},
    "api/users/<int:user_id>": {"active": True},
    "v1/vector_stores/<str:identifier>/search": {"query": SECRET},
}
"""What a request needs so that it is refused for what it names and not for how it is written."""

WORDS = {"<str:action>": "erase"}
"""Parts of addresses that are words and not ids."""

NOBODYS = ("v1/models/<path:model>", "v1/<path:rest>")
"""Addresses whose ids belong to nobody."""


@dataclasses.dataclass(frozen=True)
class Foreign:
    """What alice has: a document with everything made from it, which bob once saw."""

    collection: Collection
    document: Document
    job: uuid.UUID
    segment: Segment
    answer: Answer
    token: str
    group: int

    def ids(self, route: str, parameter: str) -> tuple[str, str]:
        """Return the id of alice's thing that an address names, and one of nothing."""
        nothing = uuid.uuid4()
        named = {
            "collection_id": (self.collection.pk, nothing),
            "document_id": (self.document.pk, nothing),
            "segment_id": (self.segment.pk, nothing),
            "job_id": (self.job, nothing),
            "answer_id": (self.answer.pk, nothing),
            "token_key": (self.token[:15], uuid.uuid4().hex[:15]),
            "group_id": (self.group, self.group + 7000),
            "user_id": (self.collection.created_by_id, self.collection.created_by_id + 7000),
            "space_id": (1, 7000),
            "identifier": (file_id(self.document.pk), file_id(nothing))
            if "files" in route
            else (store_id(self.collection.pk), store_id(nothing)),
        }
        assert parameter in named, f"{route}: say in this test what alice's '{parameter}' is"
        foreign, missing = named[parameter]
        return str(foreign), str(missing)


class Caller:
    """A user in a browser and with a token at the same time."""

    def __init__(self, user: User) -> None:
        self.user = user
        self._client = Client(raise_request_exception=False)
        self._client.force_login(user)
        self._headers = {"Authorization": f"Bearer {token_create(user)}"}

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str, int]:
        """Return status, body and the number of queries."""
        with CaptureQueriesContext(connection) as queries:
            if path.startswith("/c/"):
                response = self._client.generic(
                    method, path, "text=x&question=x", content_type="application/x-www-form-urlencoded"
                )
            else:
                response = self._client.generic(
                    method, path, json.dumps(body or {}), content_type="application/json", headers=self._headers
                )
        content = b"" if response.streaming else response.content
        return response.status_code, content.decode(), len(queries)


@pytest.fixture
def world(library) -> Foreign:
    group_member = library.bob
    with acting_as_system():
        from django.contrib.auth.models import Group

        group = Group.objects.create(name="readers")
    document, _ = document_submit(
        user=library.alice,
        collection=library.mine,
        parts=[PartUpload(name="heron.txt", content=SECRET.encode())],
        labels={"tags": ["heron-tag"], "metadata": {"owner": "heron-meta"}},
    )
    with acting_as_system():
        job = document.jobs.get()
        job.steps.update(state="done")
        document.jobs.update(state="failed", error_code="heron", error_message="the heron failed")
        Document.objects.filter(pk=document.pk).update(state=DocumentState.FAILED, error_message="the heron failed")
    segment = library.put(document, SECRET, picture_sha256=artefact_write(b"heron picture"))
    with acting_as(library.alice):
        answer = Answer.objects.create(collection=library.mine, user=library.alice, question=f"is {SECRET}?")
    # Bob has seen it, by himself and through a group, and has lost it again.
    membership_set(collection=library.mine, user=group_member, role=Role.VIEWER)
    membership_set(collection=library.mine, group=group, role=Role.VIEWER)
    library.bob.groups.add(group)
    assert Caller(library.bob).ask("GET", f"/api/documents/{document.pk}")[0] == 200
    membership_remove(collection=library.mine, user=group_member)
    assert Caller(library.bob).ask("GET", f"/api/documents/{document.pk}")[0] == 200
    library.bob.groups.remove(group)
    return Foreign(
        collection=library.mine,
        document=document,
        job=job.pk,
        segment=segment,
        answer=answer,
        token=token_create(library.alice),
        group=group.pk,
    )


@pytest.fixture
def embedded(library) -> None:
    """The vectors of what is searched for, as if it had been asked before: no worker runs here."""
    from tests.services.search.conftest import fake_query_embedder

    cache = QueryCache(broker())
    for text in (SECRET, "x"):
        for name, space in (("text", library.text_space), ("image_text", library.picture_space)):
            cache.put({QueryKey(space.digest, text): fake_query_embedder(role=name, text=text)})


def routes() -> list[tuple[str, tuple[str, ...]]]:
    """Every address of the application with the names of its parameters."""

    def walk(resolver, prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        for one in resolver.url_patterns:
            route = prefix + str(one.pattern)
            if isinstance(one, URLPattern):
                yield route, tuple(one.pattern.converters)
            else:
                yield from walk(one, route)

    return sorted(walk(get_resolver("core.urls"), ""))


def path_of(route: str, parameter: str, value: str) -> str:
    for name, known in WORDS.items():
        route = route.replace(name, known)
    start, end = route.index("<"), route.index(">")
    assert route[start:end].endswith(f":{parameter}")
    return "/" + route[:start] + value + route[end + 1 :]


NAMING = [(route, parameters) for route, parameters in routes() if parameters and route not in NOBODYS]
LISTING = [route for route, parameters in routes() if not parameters]


class TestAnAddressThatNamesSomething:
    @pytest.mark.parametrize(("route", "parameters"), NAMING, ids=[route for route, _ in NAMING])
    def test_answers_about_the_foreign_as_about_nothing(self, library, world, embedded, route, parameters):
        parameter = parameters[0]
        foreign, nothing = world.ids(route, parameter)
        bob = Caller(library.bob)
        statuses = set()

        for method in METHODS:
            body = BODIES.get(route)
            told = bob.ask(method, path_of(route, parameter, foreign), body)
            of_nothing = bob.ask(method, path_of(route, parameter, nothing), body)

            assert told[0] in NOT_THERE, (method, told)
            assert without(told[1], foreign) == without(of_nothing[1], nothing)
            assert (told[0], told[2]) == (of_nothing[0], of_nothing[2])
            statuses.add(told[0])
        assert statuses & {403, 404}

    def test_answers_its_owner(self, library, world, embedded):
        alice = Caller(library.alice)

        for route, parameter in (
            ("api/documents/<uuid:document_id>", "document_id"),
            ("api/segments/<uuid:segment_id>/picture", "segment_id"),
            ("api/jobs/<uuid:job_id>", "job_id"),
            ("api/answers/<uuid:answer_id>", "answer_id"),
            ("v1/files/<str:identifier>", "identifier"),
            ("d/<uuid:document_id>", "document_id"),
        ):
            assert alice.ask("GET", path_of(route, parameter, world.ids(route, parameter)[0]))[0] == 200


class TestARequestThatNamesSomethingInside:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/api/search", {"text": SECRET, "collection": "COLLECTION"}),
            ("POST", "/api/search", {"text": SECRET, "document": ["DOCUMENT"]}),
            ("POST", "/api/search", {"text": SECRET, "filter": {"type": "eq", "key": "document", "value": "DOCUMENT"}}),
            ("POST", "/api/answers", {"question": SECRET, "collection": "COLLECTION"}),
            ("POST", "/api/documents", {"title": "t", "content": "c", "collection": "COLLECTION"}),
            ("GET", "/api/documents?collection=COLLECTION", None),
            ("GET", "/api/jobs?collection=COLLECTION", None),
            ("GET", "/api/jobs?document=DOCUMENT", None),
        ],
    )
    def test_is_answered_as_if_it_named_nothing(self, library, world, embedded, method, path, body):
        bob, nothing = Caller(library.bob), str(uuid.uuid4())
        foreign = {"COLLECTION": str(world.collection.pk), "DOCUMENT": str(world.document.pk)}

        def ask(ids: dict[str, str]) -> tuple[int, Any, int]:
            written = json.dumps([path, body])
            for name, value in ids.items():
                written = written.replace(name, value)
            status, content, queries = bob.ask(method, *json.loads(written))
            for value in ids.values():
                content = without(content, value)
            answer = json.loads(content)
            answer.pop("took_ms", None)
            return status, answer, queries

        ask(foreign)  # the words of a query are looked up in the dictionaries once
        assert ask(foreign) == ask(dict.fromkeys(foreign, nothing))


class TestWhatIsListed:
    @pytest.mark.parametrize("route", LISTING)
    def test_holds_nothing_of_what_one_may_not_see(self, library, world, embedded, route):
        secrets = [
            *("heron", "papers", str(world.document.pk), str(world.collection.pk), str(world.segment.pk)),
            *(world.document.sha256, str(world.answer.pk), world.document.pk.hex, world.collection.pk.hex),
        ]

        _, content, _ = Caller(library.bob).ask("GET", f"/{route}")

        assert [secret for secret in secrets if secret in content] == []

    def test_of_a_search_neither(self, library, world, embedded):
        own = library.add(SECRET, collection=library.theirs)

        _, content, _ = Caller(library.bob).ask("POST", "/api/search", {"text": SECRET, "neighbours": 2})

        hits = json.loads(content)["hits"]
        assert [hit["segment"] for hit in hits] == [str(own.pk)]
        assert hits[0]["duplicates"] == []
        assert str(world.document.pk) not in content


class TestForeignBytes:
    def test_uploading_them_runs_every_step(self, library, world):
        """The other's document is read already; nothing of that may be quicker or there before."""
        document, created = document_submit(
            user=library.bob, collection=library.theirs, parts=[PartUpload(name="mine.txt", content=SECRET.encode())]
        )

        with acting_as(library.bob):
            steps = list(Step.objects.filter(job__document=document))
        assert created
        assert document.pk != world.document.pk
        assert [(step.kind, step.state, step.result) for step in steps] == [("probe", "pending", None)]
        status, content, _ = Caller(library.bob).ask("GET", f"/api/documents/{document.pk}")
        told = json.loads(content)
        assert (status, told["state"], told["segments"], told["tags"]) == (200, "queued", 0, [])


def without(content: str, identifier: str) -> str:
    """Take an id out of an answer, in every form in which it may be repeated, and what is new in every page."""
    content = CSRF_TOKEN.sub("TOKEN", content)
    for form in (identifier, identifier.replace("-", "")):
        content = content.replace(form, "ID")
    return content
