"""The OpenAPI schema: whole, valid, and nothing that it allows makes the server fail."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from django.core.management import call_command
from django.urls import URLPattern, get_resolver

from core.settings.env import REPOSITORY, child_environment

pytestmark = pytest.mark.services

NEEDS_A_WORKER = "^/api/(search|status|spaces/.*/compare|answers/.*/events)|^/v1/(chat|embeddings|rerank|audio)"
"""Without one they wait; the end-to-end lane sends them to a whole stack."""


def written(*arguments: str) -> dict:
    out = io.StringIO()
    call_command("spectacular", *arguments, "--format", "openapi-json", stdout=out)
    return json.loads(out.getvalue())


class TestSchema:
    def test_it_is_valid_openapi_3_1_without_a_warning(self):
        schema = written("--validate", "--fail-on-warn")

        assert schema["openapi"].startswith("3.1")

    def test_it_names_every_address(self):
        told = {path.rstrip("/") for path in written()["paths"]}

        missing = [path for path in addresses() if path.rstrip("/") not in told]

        assert missing == ["/api/schema", "/api/docs"]


def addresses() -> list[str]:
    found = []
    for outer in get_resolver().url_patterns:
        if str(outer.pattern) == "api/":
            for inner in outer.url_patterns:
                assert isinstance(inner, URLPattern)
                path = str(inner.pattern)
                for converter in ("uuid", "int", "str"):
                    path = path.replace(f"<{converter}:", "{")
                found.append("/api/" + path.replace(">", "}"))
    return found


class TestFuzzing:
    def test_no_request_makes_the_server_fail(self, caller, tmp_path):
        someone = caller("someone")
        someone.user.is_staff = True
        someone.user.save()

        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                f"{someone.http.base_url}/api/schema?format=json",
                f"--header=Authorization: Bearer {someone.token}",
                "--checks=not_a_server_error",
                "--phases=examples,coverage,fuzzing",
                f"--exclude-path-regex={NEEDS_A_WORKER}",
                # It cannot write that media type.
                "--exclude-operation-id=upload_append",
                "--max-examples=10",
                "--seed=1",
                "--suppress-health-check=all",
                "--continue-on-failure",
                "--request-timeout=30",
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
