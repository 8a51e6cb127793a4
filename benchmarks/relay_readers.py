"""The two readers that the relay suite compares, each a process of its own: the API's event stream, and raw XREAD."""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import redis

Arrivals = list[tuple[int, int]]
"""(number of the token, when it was there on the clock of the host in ns)."""


def main() -> None:
    """Read one stream as the JSON on stdin says, and write what arrived when."""
    wanted = json.loads(sys.stdin.readline())
    # Whoever started this waits for the line: from here on nothing is missed.
    print("ready", flush=True)
    arrivals = _through_the_api(wanted) if wanted["url"] else _from_the_broker(wanted)
    print(json.dumps(arrivals))


def _from_the_broker(wanted: dict[str, Any]) -> Arrivals:
    client = redis.Redis.from_url(wanted["broker"], protocol=2)
    last, arrivals = "0", Arrivals()
    while True:
        # Protocol 2 answers [[stream, entries]], or nothing when the time is over.
        answer: Any = client.xread({wanted["key"]: last}, block=1000) or []
        for _key, entries in answer:
            there_ns = time.monotonic_ns()
            for identifier, fields in entries:
                last = identifier
                if fields[b"event"] == b"done":
                    return arrivals
                arrivals.append((json.loads(fields[b"data"])["number"], there_ns))


def _through_the_api(wanted: dict[str, Any]) -> Arrivals:
    arrivals, last = Arrivals(), ""
    drops = list(wanted["drop_after"])
    while True:
        connection, lines = _connected(wanted, last)
        for identifier, event, data, there_ns in _events(lines):
            last = identifier
            if event == "done":
                connection.close()
                return arrivals
            arrivals.append((json.loads(data)["number"], there_ns))
            if drops and len(arrivals) >= drops[0]:
                drops.pop(0)
                break
        # The line goes dead in the middle of the stream, and tokens come meanwhile.
        connection.close()
        time.sleep(wanted["away_s"])


def _connected(wanted: dict[str, Any], last: str) -> tuple[http.client.HTTPConnection, Iterator[bytes]]:
    url = urllib.parse.urlsplit(wanted["url"])
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    headers = {"Authorization": f"Bearer {wanted['token']}", **({"Last-Event-ID": last} if last else {})}
    connection.request("GET", url.path, headers=headers)
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"the stream answered with {response.status}: {response.read()!r}")
    return connection, iter(response.readline, b"")


def _events(lines: Iterator[bytes]) -> Iterator[tuple[str, str, str, int]]:
    identifier = event = data = ""
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "id":
            identifier = value
        elif name == "event":
            event = value
        elif name == "data":
            data = value
        elif not name and data:
            yield identifier, event, data, time.monotonic_ns()
            data = ""
