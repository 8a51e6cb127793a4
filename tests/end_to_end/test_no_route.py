"""The whole demo in a network namespace that has nothing but its own loopback: native code cannot get out either."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.settings.env import REPOSITORY, child_environment

pytestmark = pytest.mark.weights

LOOPBACK_UP = """
import fcntl, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    request = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
    fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS
"""

NO_ROUTE = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError as error:
    print(error.errno)
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cloister-test-no-route-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def demo(home) -> dict[str, Any]:
    """Start, ingest, search, ask and stop inside one namespace; returns what was printed."""
    python = sys.executable
    script = (
        f"{python} -c '{LOOPBACK_UP}' && {python} -c '{NO_ROUTE}' && "
        f"{python} manage.py demo --json --port 0; code=$?; {python} manage.py down >&2; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script],
        cwd=REPOSITORY,
        env=child_environment(CLOISTER_HOME=str(home), DJANGO_SETTINGS_MODULE="core.settings.base"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    errno, _, printed = done.stdout.partition("\n")
    return {"errno": int(errno), "code": done.returncode, "stderr": done.stderr, **json.loads(printed)}


class TestDemoWithoutARoute:
    def test_there_really_is_no_way_out(self, demo):
        network_is_unreachable = 101
        assert demo["errno"] == network_is_unreachable

    def test_every_check_of_the_demo_is_ok(self, demo):
        assert [(check["modality"], check["problems"]) for check in demo["checks"] if not check["ok"]] == []
        assert demo["failed_documents"] == []
        assert demo["code"] == 0

    def test_its_peak_memory_is_printed_and_within_six_gib(self, demo):
        assert 500 < demo["peak_pss_mib"] < 6 * 1024

    def test_no_process_tried_to_get_out(self, demo, home):
        logs = "".join(path.read_text(errors="replace") for path in (home / "logs").glob("*.log"))

        assert logs
        assert "refused socket." not in logs
