"""Every kind of process, started as the supervisor starts it, tries from inside to get out."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.host.process import wait_until
from core.settings.env import REPOSITORY, child_environment

pytestmark = pytest.mark.services

# Python imports this module at its start; its thread waits until the process has installed the guard, then tries.
PROBE = """
    import json, os, pathlib, sys, threading, time

    def outcome(attempt):
        try:
            attempt()
        except PermissionError as error:
            return f"refused: {error}"
        except OSError as error:
            return f"reached the system: {error}"
        return "got out"

    def probe():
        import socket
        deadline = time.monotonic() + 60
        egress = None
        while time.monotonic() < deadline and not getattr(egress, "installed", lambda: False)():
            egress = sys.modules.get("core.host.egress")
            time.sleep(0.02)
        found = {
            "address": outcome(lambda: socket.create_connection(("192.0.2.1", 80), 1)),
            "name": outcome(lambda: socket.getaddrinfo("example.org", 80)),
            "datagram": outcome(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))),
        }
        place = pathlib.Path(PLACE)
        draft = place.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(found))
        draft.replace(place)

    threading.Thread(target=probe).start()
"""

COMMANDS = {
    "manage": ("manage.py", "check"),
    "web": ("-m", "core.host.web_process"),
    "worker": ("-m", "gpu_worker.worker", "--queue", "interactive"),
    "reaper": ("-m", "gpu_worker.reaper"),
    "engine-host": ("-m", "gpu_worker.engine_host"),
    "engine": ("-m", "gpu_worker.engine_process", "--role", "text", "--fd", "{fd}"),
    "supervisor": ("-m", "core.host.supervisor_process", "-n", "-c", "{configuration}"),
}


@pytest.mark.parametrize("kind", COMMANDS)
class TestProcess:
    def test_cannot_get_out(self, services: Any, tmp_path: Path, kind: str) -> None:
        place = tmp_path / "found.json"
        (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(PROBE).replace("PLACE", repr(str(place))))
        configuration = tmp_path / "supervisord.conf"
        configuration.write_text(f"[supervisord]\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\n")
        ours, theirs = socket.socketpair()
        with ours, theirs, (tmp_path / "output").open("w") as output:
            command = [part.format(fd=theirs.fileno(), configuration=configuration) for part in COMMANDS[kind]]
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=REPOSITORY,
                env=child_environment(
                    PYTHONPATH=f"{tmp_path}:{REPOSITORY}",
                    DJANGO_SETTINGS_MODULE="core.settings.base",
                    CLOISTER_PORT="0",
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            try:
                wait_until(place.is_file, timeout_s=90, what=f"the report from inside of {kind}")
            finally:
                end(process)

        found = json.loads(place.read_text())

        assert set(found) == {"address", "name", "datagram"}
        assert all(outcome.startswith("refused: ") for outcome in found.values()), found
        assert "refused socket." in (tmp_path / "output").read_text()


def end(process: subprocess.Popen[bytes]) -> None:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.kill()
    process.wait(20)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=20)
