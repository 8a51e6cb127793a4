"""Every case runs in a process of its own: an audit hook cannot be removed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.host.egress import allowed_parse
from core.settings.env import REPOSITORY

REFUSED = 86

PREAMBLE = f"""
import asyncio, socket, ssl, sys
from core.host import egress
egress.install()
try:
    {{action}}
except PermissionError as error:
    print(error)
    sys.exit({REFUSED})
except OSError as error:
    print("reached the system:", error)
"""


def run(action: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE.format(action=action)],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environment},  # noqa: TID251
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


OUTWARD = [
    "socket.create_connection(('192.0.2.1', 80), 1)",
    "socket.socket().connect(('192.0.2.1', 80))",
    "socket.socket().connect_ex(('192.0.2.1', 80))",
    "socket.socket().connect(('example.org', 80))",
    "socket.socket().connect_ex(('example.org', 80))",
    "socket.socket().bind(('example.org', 0))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', 0, ('example.org', 53))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('example.org', 53))",
    "ssl.create_default_context().wrap_socket(socket.socket(), server_hostname='a').connect(('example.org', 443))",
    "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "socket.socket(socket.AF_INET6).connect(('::ffff:192.0.2.1', 80))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('192.0.2.1', 53))",
    "socket.getaddrinfo('example.org', 80)",
    "socket.getaddrinfo(b'example.org', 80)",
    "socket.gethostbyname('example.org')",
    "socket.gethostbyname_ex('example.org')",
    "socket.gethostbyaddr('192.0.2.1')",
    "socket.getnameinfo(('192.0.2.1', 80), 0)",
    "__import__('urllib.request').request.urlopen('http://192.0.2.1/', timeout=1)",
    "__import__('httpx').get('http://example.org/', timeout=1)",
    "asyncio.run(asyncio.open_connection('192.0.2.1', 80))",
]

INWARD = [
    "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname(), 5)",
    "socket.getaddrinfo('localhost', 80)",
    "socket.getaddrinfo('::1', 80)",
    "socket.getaddrinfo(None, 80)",
    "a, b = socket.socketpair(); a.send(b'x')",
    "socket.socket(socket.AF_UNIX).connect('/nowhere.sock')",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
]


class TestGuard:
    @pytest.mark.parametrize("action", OUTWARD)
    def test_refuses_and_logs_the_way_out(self, action: str) -> None:
        ended = run(action)

        if "httpx" in action or "urllib" in action:
            # These libraries wrap the refusal in an error of their own.
            assert "is refused" in ended.stdout + ended.stderr
        else:
            assert ended.returncode == REFUSED, ended.stdout + ended.stderr
        assert "refused socket." in ended.stderr
        assert 'File "<string>"' in ended.stderr

    @pytest.mark.parametrize("action", INWARD)
    def test_lets_what_stays_on_this_machine_through(self, action: str) -> None:
        ended = run(action)

        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "refused" not in ended.stderr

    def test_lets_through_what_an_administrator_listed_and_no_more(self) -> None:
        listed = "192.0.2.0/28, db.example.org"
        datagram = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"

        assert run(f"{datagram}.connect(('192.0.2.7', 9))", CLOISTER_ALLOWED_ADDRESSES=listed).returncode == 0
        assert run(f"{datagram}.connect(('192.0.2.16', 9))", CLOISTER_ALLOWED_ADDRESSES=listed).returncode == REFUSED
        assert run("socket.getaddrinfo('example.org', 80)", CLOISTER_ALLOWED_ADDRESSES=listed).returncode == REFUSED

    def test_says_so_when_a_set_up_command_is_exempt(self) -> None:
        datagram = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.7', 9))"

        ended = run(datagram, CLOISTER_EGRESS_EXEMPT="models pull")

        assert ended.returncode == 0
        assert "the egress guard is off in this process: models pull" in ended.stderr

    def test_survives_a_second_install(self) -> None:
        ended = run("egress.install(); socket.getaddrinfo('example.org', 80)")

        assert ended.returncode == REFUSED
        assert ended.stderr.count("refused socket.") == 1


class TestAllowedParse:
    def test_tells_addresses_networks_and_names_apart(self) -> None:
        allowed = allowed_parse("10.1.0.0/16, 2001:db8::/32 ,192.0.2.9,Broker.Example.Org")

        assert allowed.permits("10.1.200.3")
        assert allowed.permits("2001:db8::7")
        assert allowed.permits("192.0.2.9")
        assert allowed.permits("broker.example.org.")
        assert not allowed.permits("10.2.0.1")
        assert not allowed.permits("example.org")

    def test_refuses_a_network_that_is_none(self) -> None:
        with pytest.raises(ValueError, match="host bits set"):
            allowed_parse("10.1.2.3/16")
