"""tuspy against a running server: an upload goes on where it was after the web process was killed."""

from __future__ import annotations

import hashlib
import os

import httpx
import psutil
import pytest

from core.host.process import wait_until
from core.host.supervision import Supervisor

pytestmark = pytest.mark.clients

WORDS = "".join(f"The tide stood at {number} centimetres that day.\n" for number in range(40_000)).encode()


@pytest.fixture
def letter(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_bytes(WORDS)
    return path


def web_killed(stack) -> None:
    supervisor = Supervisor(stack.home)
    pid = supervisor.program_state("web").pid
    assert pid is not None
    os.kill(pid, 9)
    wait_until(lambda: not psutil.pid_exists(pid), timeout_s=10, what="the end of the web process")
    wait_until(lambda: _answers(stack.url), timeout_s=60, what="an answer of the next web process")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/status?workers=0").status_code == 200
    except httpx.TransportError:
        return False


class TestUpload:
    def test_it_survives_the_end_of_the_server(self, stack, run_client, letter):
        given = {"server": stack.url, "file": str(letter), "collection": "tus letters"}

        begun = run_client("tuspy", "drive_tuspy.py", **given).value("begun")
        web_killed(stack)
        resumed = run_client("tuspy", "drive_tuspy.py", **given, upload=begun["url"]).value("resumed")

        assert 0 < begun["offset"] == resumed["from"] < len(WORDS) == resumed["to"]
        document = stack.client.request("GET", f"/api/documents/{resumed['headers']['cloister-document']}")
        assert document["sha256"] == hashlib.sha256(WORDS).hexdigest()
        assert document["tags"] == ["tus", "client"]
