"""``up`` and ``down`` on the real programs, in a home that only this account may enter and whose path is long."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.host.paths import socket_directory
from core.host.process import wait_until
from core.settings.env import REPOSITORY, child_environment

pytestmark = [pytest.mark.faults, pytest.mark.weights]

PROGRAMS = ["postgres", "broker", "engine-host", "web", "worker-interactive", "worker-bulk", "reaper"]


@pytest.fixture
def home() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="cloister-up-")).resolve()
    home = root / ("h" * (150 - len(str(root)) - 1))
    yield home
    command(home, "down")
    shutil.rmtree(socket_directory(home))
    shutil.rmtree(root)


def command(home: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments, "--json"],
        cwd=REPOSITORY,
        env=child_environment(CLOISTER_HOME=str(home), CLOISTER_PORT="0", DJANGO_SETTINGS_MODULE="core.settings.base"),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def processes(home: Path) -> dict[str, Any]:
    _, found = command(home, "status")
    return {process["name"]: process for process in found["processes"]}


def family(pids: list[int]) -> list[psutil.Process]:
    roots = [psutil.Process(pid) for pid in pids]
    return [*roots, *(child for root in roots for child in root.children(recursive=True))]


class TestUp:
    def test_starts_everything_once_and_down_ends_all_of_it(self, home: Path) -> None:
        code, first = command(home, "up")
        assert code == 0, first
        before = processes(home)
        code, second = command(home, "up")
        assert code == 0, second

        assert list(before) == PROGRAMS
        assert {name: process["pid"] for name, process in before.items()} == {
            name: process["pid"] for name, process in processes(home).items()
        }
        assert second["url"] == first["url"]
        assert second["seconds"] < 10
        members = family([process["pid"] for process in before.values()])
        code, stopped = command(home, "down")
        assert code == 0, stopped
        assert len(stopped["stopped"]) == len(PROGRAMS)
        assert [member for member in members if member.is_running()] == []
        assert command(home, "status")[0] == 3

    def test_brings_a_killed_web_server_back_at_the_same_address(self, home: Path) -> None:
        _, started = command(home, "up")
        killed = processes(home)["web"]["pid"]

        os.kill(killed, signal.SIGKILL)

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"{started['url']}/api/status?workers=0", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(answers, timeout_s=60, what="the web server's return", poll_s=0.2)
        assert processes(home)["web"]["pid"] != killed


class TestDown:
    def test_ends_what_a_killed_supervisor_left_and_nothing_else(self, home: Path) -> None:
        command(home, "up")
        members = family([process["pid"] for process in processes(home).values()])
        bystander = subprocess.Popen(["sleep", "600"], env=child_environment(CLOISTER_HOME=str(home)))
        supervisor = int((home / "run" / "supervisord.pid").read_text())

        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(supervisor), timeout_s=20, what="the supervisor's end")
        code, stopped = command(home, "down")

        assert code == 0, stopped
        assert [member for member in members if member.is_running()] == []
        assert bystander.poll() is None
        bystander.kill()
        bystander.wait(10)
