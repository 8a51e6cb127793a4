"""Embedding spaces over REST and on the command line: for administrators, with what is there and what to do next."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from core.access.service import token_create, user_create
from core.segments.models import EmbeddingSpace
from core.segments.service import space_active, space_create, spaces_ensure
from core.segments.space_spec import space_specs

pytestmark = pytest.mark.services


class Caller:
    def __init__(self, name: str, *, administrator: bool) -> None:
        user = user_create(name=name, administrator=administrator)
        self._headers = {"Authorization": f"Bearer {token_create(user)}"}
        self._client = Client()

    def get(self, path: str):
        return self._client.get(path, headers=self._headers)

    def post(self, path: str, body: dict | None = None):
        content = json.dumps(body or {})
        return self._client.post(path, content, content_type="application/json", headers=self._headers)


@pytest.fixture
def admin(clean_database) -> Caller:
    return Caller("root", administrator=True)


@pytest.fixture
def profile_space(clean_database) -> EmbeddingSpace:
    return spaces_ensure(specs=[space_specs()["text"]])[0]


@pytest.fixture
def strange_space(profile_space) -> EmbeddingSpace:
    return space_create(name="text", digest="e" * 64, dimensions=8, recipe="of another host")


def on_the_command_line(*arguments: str) -> tuple[dict[str, Any], int]:
    stdout = io.StringIO()
    code = 0
    try:
        call_command("spaces", *arguments, "--json", stdout=stdout)
    except SystemExit as ended:
        code = int(ended.code)
    return json.loads(stdout.getvalue()), code


class TestRest:
    def test_is_for_administrators_alone(self, profile_space):
        alice = Caller("alice", administrator=False)
        key = profile_space.pk

        for response in (
            alice.get("/api/spaces"),
            alice.get(f"/api/spaces/{key}"),
            alice.post(f"/api/spaces/{key}/fill"),
            alice.post(f"/api/spaces/{key}/compare"),
            alice.post(f"/api/spaces/{key}/activate"),
            alice.post("/api/spaces/rollback", {"name": "text"}),
        ):
            assert response.status_code == 403

    def test_lists_what_is_there_with_its_progress(self, admin, profile_space, strange_space):
        first, second = admin.get("/api/spaces").json()["spaces"]

        assert (first["id"], first["active"], first["phase"], first["role"]) == (
            profile_space.pk,
            True,
            "ready",
            "text",
        )
        assert (second["id"], second["active"], second["role"]) == (strange_space.pk, False, "")
        assert admin.get(f"/api/spaces/{strange_space.pk}").json() == second
        assert second["percent"] == 100.0

    def test_fills(self, admin, profile_space):
        filling = admin.post(f"/api/spaces/{profile_space.pk}/fill")

        assert filling.status_code == 202
        assert filling.json()["phase"] == "ready"

    def test_refuses_a_switch_that_would_leave_queries_without_an_engine(self, admin, profile_space, strange_space):
        refused = admin.post(f"/api/spaces/{strange_space.pk}/activate", {"force": True})

        assert refused.status_code == 409
        assert "of another host" in refused.json()["error"]["message"]
        assert space_active("text") == profile_space

    def test_activates_and_has_nothing_to_go_back_to(self, admin, profile_space):
        assert admin.post(f"/api/spaces/{profile_space.pk}/activate").json()["active"] is True
        assert admin.post("/api/spaces/rollback", {"name": "text"}).status_code == 404

    def test_does_not_know_what_is_not_there(self, admin, profile_space):
        for response in (admin.get("/api/spaces/999999999"), admin.post("/api/spaces/0/fill")):
            assert response.status_code == 404

    def test_has_nothing_to_compare_without_documents(self, admin, profile_space):
        refused = admin.post(f"/api/spaces/{profile_space.pk}/compare")

        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid")


class TestCommandLine:
    def test_makes_lists_and_fills(self, clean_database):
        made, _ = on_the_command_line("create")
        assert {one["name"] for one in made["spaces"]} == {"text", "image_text"}

        listed, _ = on_the_command_line("list")
        assert {one["role"] for one in listed["spaces"]} == {"text", "image_text"}
        filled, code = on_the_command_line("fill", str(listed["spaces"][0]["id"]))
        assert (filled["spaces"][0]["phase"], code) == ("ready", 0)
        assert on_the_command_line("seal", str(listed["spaces"][0]["id"]))[1] == 0

    def test_switches_and_drops(self, profile_space, strange_space):
        switched, _ = on_the_command_line("switch", str(profile_space.pk))
        assert (switched["active"], switched["before"]) == (profile_space.pk, profile_space.pk)

        refused, code = on_the_command_line("drop", str(profile_space.pk))
        assert (refused["error"]["code"], code) == ("conflict", 1)
        dropped, code = on_the_command_line("drop", strange_space.digest[:12])
        assert (dropped["dropped"], dropped["role"], code) == (strange_space.pk, None, 0)
        refused, code = on_the_command_line("rollback", "text")
        assert (refused["error"]["code"], code) == ("not_found", 1)

    def test_refuses_questions_that_it_cannot_read(self, profile_space, tmp_path):
        wrong = tmp_path / "questions.toml"
        wrong.write_text("[[other]]\n")

        refused, code = on_the_command_line("compare", str(profile_space.pk), "--questions", str(wrong))

        assert (refused["error"]["code"], code) == ("invalid", 1)
