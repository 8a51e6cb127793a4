"""Follow-up questions over HTTP: the conversation goes on, and a stranger's answer is like none."""

from __future__ import annotations

import json
import uuid

import pytest
from django.test import Client

from core.access.service import collection_create, token_create, user_create

pytestmark = pytest.mark.services


class Asker:
    """A user with a collection who asks over HTTP."""

    def __init__(self, name: str) -> None:
        user = user_create(name=name)
        self.collection = str(collection_create(user=user, name=f"of {name}").pk)
        self._headers = {"Authorization": f"Bearer {token_create(user)}"}
        self._client = Client()

    def ask(self, question: str, **fields: str):
        body = json.dumps({"question": question, "collection": self.collection, **fields})
        return self._client.post("/api/answers", body, content_type="application/json", headers=self._headers)


@pytest.fixture
def alice(clean_database) -> Asker:
    return Asker("alice")


@pytest.fixture
def bob(clean_database) -> Asker:
    return Asker("bob")


class TestConversations:
    def test_a_question_goes_on_with_the_conversation_of_an_earlier_answer(self, alice):
        first = alice.ask("Where is the boiler?").json()
        second = alice.ask("Who serviced it?", conversation=first["id"]).json()
        third = alice.ask("When was that?", conversation=second["id"]).json()

        assert first["conversation"] == second["conversation"] == third["conversation"]

    def test_a_strangers_answer_is_answered_like_one_that_does_not_exist(self, alice, bob):
        foreign, nowhere = alice.ask("Where is the boiler?").json()["id"], str(uuid.uuid4())

        told = bob.ask("Who serviced it?", conversation=foreign)
        of_nothing = bob.ask("Who serviced it?", conversation=nowhere)

        assert told.status_code == of_nothing.status_code == 404
        assert told.content == of_nothing.content

    def test_what_is_no_id_is_refused(self, alice):
        assert alice.ask("Who serviced it?", conversation="the last one").status_code == 400
