"""The command line as a client of the HTTP API, with the token that ``up`` made."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from core.host.paths import home_layout
from core.host.secrets import secret
from core.settings.env import env

POLL_S = 0.5


class ApiError(Exception):
    """The server answered with an error; the message is the server's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class NotRunning(Exception):
    """No server answers for this CLOISTER_HOME."""


class Client:
    """Talks to the server of this CLOISTER_HOME."""

    def __init__(self, base_url: str | None = None, token: str | None = None) -> None:
        home = env().home_path
        port_file = home_layout(home).run / "port"
        if base_url is None:
            if not port_file.is_file():
                raise NotRunning(f"nothing runs in {home}; start it with './cloister up'")
            base_url = f"http://127.0.0.1:{port_file.read_text().strip()}"
        self.base_url = base_url
        headers = {"Authorization": f"Bearer {token or secret(home, 'cli_token')}"}
        # trust_env=False: a proxy from the environment would be a way out.
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=120.0, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Send one request and return the JSON answer.

        Raises:
            ApiError: The server answered with an error.
            NotRunning: The server cannot be reached.
        """
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise NotRunning(f"{self.base_url} does not answer ({error}); look at './cloister status'") from error
        _raise_for(response)
        return dict(response.json()) if response.content else {}

    def upload(self, path: Path, *, collection: str, labels: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Upload one file into a collection, which is made when it does not exist; labels are tags, metadata, date."""
        fields = {"collection": collection, "path": str(path), **(labels or {})}
        if "metadata" in fields:
            fields["metadata"] = json.dumps(fields["metadata"])
        with path.open("rb") as file:
            files: dict[str, tuple[str, BinaryIO]] = {"file": (path.name, file)}
            return self.request("POST", "/api/documents", files=files, data=fields)

    def search(
        self,
        *,
        collection: str,
        text: str | None = None,
        image: Path | None = None,
        kinds: Sequence[str] = (),
        limit: int = 10,
        **further: Any,
    ) -> dict[str, Any]:
        """Search by words, by a picture, or by both; ``further`` are other fields of POST /api/search."""
        fields: dict[str, Any] = {"collection": collection, "limit": limit, "kind": list(kinds), **further}
        if text:
            fields["text"] = text
        if image is None:
            return self.request("POST", "/api/search", json=fields)
        if "filter" in fields:
            fields["filter"] = json.dumps(fields["filter"])
        with image.open("rb") as file:
            return self.request("POST", "/api/search", data=fields, files={"image": (image.name, file)})

    def ask(
        self, question: str, *, collection: str, conversation: str | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Ask, and yield (event, data) until the final event ``done`` or ``error``."""
        fields = {"question": question, "collection": collection}
        if conversation is not None:
            fields["conversation"] = conversation
        answer = self.request("POST", "/api/answers", json=fields)
        with self._http.stream("GET", f"/api/answers/{answer['id']}/events", timeout=600.0) as response:
            if response.is_error:
                response.read()
                _raise_for(response)
            yield from _events(response.iter_lines())

    def wait(self, document_ids: Sequence[str], *, deadline_s: float = 3600.0) -> Iterator[list[dict[str, Any]]]:
        """Yield the latest state of the documents again and again, until all are ready or failed."""
        ends = time.monotonic() + deadline_s
        latest: dict[str, dict[str, Any]] = {}
        unfinished = list(document_ids)
        while unfinished and time.monotonic() < ends:
            for one in unfinished:
                latest[one] = self.request("GET", f"/api/documents/{one}")
            unfinished = [one for one in unfinished if latest[one]["state"] not in ("ready", "failed")]
            yield list(latest.values())
            if unfinished:
                time.sleep(POLL_S)


def _raise_for(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        error = response.json()["error"]
    except (ValueError, KeyError):
        error = {"code": "http_error", "message": f"{response.request.url} answered {response.status_code}"}
    raise ApiError(response.status_code, error["code"], error["message"])


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    event = ""
    for line in lines:
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
            if event in ("done", "error"):
                return
