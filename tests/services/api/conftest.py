"""People with tokens, and the real web process on a free port."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.access.models import Collection, User
from core.access.service import collection_create, token_create, user_create
from core.host.process import wait_until
from core.settings.env import REPOSITORY, child_environment

START_S = 60.0


@dataclasses.dataclass(frozen=True)
class Caller:
    """A user, their collection, and a client that carries their token."""

    user: User
    collection: Collection
    token: str
    http: httpx.Client

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class WebProcess:
    """The web process as the supervisor starts it; a second start keeps the port."""

    def __init__(self, home: Path, **environment: str) -> None:
        self._home, self._environment = home, environment
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "core.host.web_process"],
            cwd=REPOSITORY,
            env=child_environment(
                CLOISTER_HOME=str(self._home),
                CLOISTER_PORT=str(self._port),
                DJANGO_SETTINGS_MODULE="core.settings.base",
                **self._environment,
            ),
        )
        wait_until(self._answers, timeout_s=START_S, what="an answer of the web process")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the web process ended"
        try:
            return httpx.get(f"{self.url}/api/status").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def web(services) -> Iterator[WebProcess]:
    process = WebProcess(services.home)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def caller(web, clean_database) -> Iterator[Callable[[str], Caller]]:
    made: list[Caller] = []

    def make(name: str) -> Caller:
        user = user_create(name=name)
        token = token_create(user)
        client = httpx.Client(base_url=web.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        collection = collection_create(user=user, name=f"of {name}")
        made.append(Caller(user=user, collection=collection, token=token, http=client))
        return made[-1]

    yield make
    for one in made:
        one.http.close()


@pytest.fixture
def ann(caller) -> Caller:
    return caller("ann")


@pytest.fixture
def ben(caller) -> Caller:
    return caller("ben")
