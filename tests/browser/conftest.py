"""A real Chromium on the running stack; what its pages send, refuse and complain about is written down."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import override_settings
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from core.access.service import user_create
from core.host.secrets import secret
from core.settings.env import REPOSITORY
from tests.running_stack import Stack

SAMPLES = REPOSITORY / "configs" / "samples"
COLLECTION = "Harbour"
STRANGER = ("stranger", "a password of a stranger")
ANSWER_MS = 60_000

FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever is left of the browser's own traffic finds no host.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation",
  (event) => console.error(`policy violated: ${event.effectiveDirective} by ${event.blockedURI}`));
"""


@dataclasses.dataclass
class Visit:
    """One browser window with an empty session, and what happened in it.

    Attributes:
        origins: Of every request that any page sent.
        problems: Console errors and warnings, uncaught exceptions, violations of the policy.
        refusals: Method, path and status of the answers from 400 on.
    """

    url: str
    page: Page
    origins: set[str] = dataclasses.field(default_factory=set)
    problems: list[str] = dataclasses.field(default_factory=list)
    refusals: list[tuple[str, str, int]] = dataclasses.field(default_factory=list)

    def watch(self) -> None:
        self.page.context.add_init_script(TELL_VIOLATIONS)
        self.page.on("request", self._requested)
        self.page.on("response", self._answered)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self, path: str) -> Response | None:
        return self.page.goto(self.url + path)

    def log_in(self, name: str, password: str) -> None:
        self.open("/login")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def open_collection(self, name: str) -> None:
        self.open("/")
        self.page.get_by_role("link", name=name).click()
        self.page.get_by_role("heading", level=1, name=name).wait_for()

    def ask(self, question: str) -> None:
        self.page.get_by_label("Question").fill(question)
        self.page.get_by_role("button", name="Ask").click()

    def answer_wait(self) -> None:
        self.page.locator("#answer[aria-busy=false]").wait_for(timeout=ANSWER_MS)

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data":
            self.origins.add(f"{parts.scheme}://{parts.netloc}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.refusals.append((response.request.method, urlsplit(response.url).path, response.status))

    def _said(self, message: ConsoleMessage) -> None:
        # The browser repeats refused requests here; ``refusals`` has them.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.problems.append(message.text)


@pytest.fixture(scope="session")
def library(stack: Stack) -> dict[str, str]:
    """Three small documents in one collection: document id by file name."""
    paths = [SAMPLES / name for name in ("tide-gauge.txt", "library.html", "photograph.jpg")]
    documents = stack.ingest(paths, collection=COLLECTION)
    assert [one["state"] for one in documents] == ["ready"] * 3, documents
    return {path.name: one["id"] for path, one in zip(paths, documents, strict=True)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def new_visit(stack: Stack, browser: Browser) -> Iterator[Callable[[], Visit]]:
    """Opens windows; at the end none of them may have sent, refused or complained about anything unexpected."""
    visits: list[Visit] = []

    def make() -> Visit:
        visits.append(Visit(url=stack.url, page=browser.new_context().new_page()))
        visits[-1].watch()
        return visits[-1]

    yield make
    for visit in visits:
        visit.page.context.close()
    assert [visit.problems for visit in visits if visit.problems] == []
    assert [visit.refusals for visit in visits if visit.refusals] == []
    assert {origin for visit in visits for origin in visit.origins} <= {stack.url}


@pytest.fixture
def anonymous(new_visit: Callable[[], Visit]) -> Visit:
    return new_visit()


@pytest.fixture
def admin(new_visit: Callable[[], Visit], admin_password: str) -> Visit:
    """A window in which the administrator is logged in."""
    visit = new_visit()
    visit.log_in("admin", admin_password)
    visit.page.get_by_role("heading", name="Collections").wait_for()
    return visit


@pytest.fixture(scope="session")
def admin_password(stack: Stack) -> str:
    return secret(stack.home, "admin_login")


@pytest.fixture(scope="session")
def stranger_login(stack: Stack, django_db_blocker) -> tuple[str, str]:
    """Name and password of a user who is in no collection."""
    name, password = STRANGER
    # The server knows no hasher of the tests; Playwright's event loop holds this thread, so the database gets another.
    hashers = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    with django_db_blocker.unblock(), override_settings(PASSWORD_HASHERS=hashers), ThreadPoolExecutor(1) as thread:
        thread.submit(user_create, name=name, password=password).result()
    return name, password


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of a quiet tone."""
    import wave

    import numpy as np

    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    samples = 3000 * np.sin(2 * np.pi * 440 * np.arange(60 * 16_000) / 16_000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path
