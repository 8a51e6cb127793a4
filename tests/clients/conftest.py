"""Real clients, each in a virtual environment of its own, against the running stack."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from core.access.service import token_create, user_create
from core.host.secrets import secret
from core.settings.env import REPOSITORY, child_environment, environment_set

HERE = Path(__file__).parent
SAMPLES = REPOSITORY / "configs" / "samples"
ENVIRONMENTS = REPOSITORY / "var" / "clients"
"""Kept between runs: installing llama-index takes longer than all tests of it."""

INSTALL_LIMIT_S = 900
RUN_LIMIT_S = 480
QUESTIONS_PER_MINUTE = 150
"""Few enough that a test meets the limit, many enough that the other cases do not."""

COLLECTION = "harbour notes"
QUESTION = "When was the hut of the tide gauge lost?"
TALK_S = 20

NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there: whatever a client would fetch from outside fails at once."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a client's cases."""

    results: dict[str, dict[str, Any]]

    def value(self, case: str) -> Any:
        assert "raised" not in self.results[case], self.results[case]
        return self.results[case]["value"]

    def error(self, case: str) -> dict[str, Any]:
        assert "raised" in self.results[case], self.results[case]
        return self.results[case]


@pytest.fixture(scope="session", autouse=True)
def few_questions() -> None:
    """Before the stack starts: its web process reads the limit from its environment."""
    environment_set(CLOISTER_QUESTIONS_PER_MINUTE=str(QUESTIONS_PER_MINUTE))


@pytest.fixture(scope="session")
def asked(few_questions, stack, tmp_path_factory, django_db_blocker) -> dict[str, Any]:
    """What every client is told: where the server is, who it is, and files to send."""
    stack.ingest([SAMPLES / "tide-gauge.txt", SAMPLES / "sail-loft.md"], collection=COLLECTION)
    talk = tmp_path_factory.mktemp("clients") / "talk.wav"
    talk_write(SAMPLES / "meeting.mp3", talk)
    with django_db_blocker.unblock():
        limited = token_create(user_create(name="impatient"))
    return {
        "url": f"{stack.url}/v1",
        "token": secret(stack.home, "cli_token"),
        "limited_token": limited,
        "collection": COLLECTION,
        "question": QUESTION,
        "files": {"photograph.jpg": str(SAMPLES / "photograph.jpg"), "talk.wav": str(talk)},
    }


@pytest.fixture(scope="session")
def run_client(asked) -> Callable[..., Outcome]:
    """Runs a client's cases in its own virtual environment, once for all tests that ask for them."""

    known: dict[str, Outcome] = {}

    def run_once(name: str, script: str, **more: Any) -> Outcome:
        key = json.dumps([name, script, more])
        if key not in known:
            known[key] = run(name, script, **more)
        return known[key]

    def run(name: str, script: str, **more: Any) -> Outcome:
        done = subprocess.run(
            [str(client_python(name)), str(HERE / script)],
            input=json.dumps({**asked, **more}),
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_LIMIT_S,
            env=child_environment(
                PYTHONPATH="", HTTP_PROXY=NOWHERE, HTTPS_PROXY=NOWHERE, NO_PROXY="127.0.0.1", OPENAI_API_KEY=""
            ),
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return Outcome(json.loads(done.stdout.strip().splitlines()[-1]))

    return run_once


def client_python(name: str) -> Path:
    """Return the interpreter of a client's virtual environment, made anew when its pinned versions change."""
    wanted = (HERE / f"{name}.txt").read_text() + sys.version
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "cloister-client.txt"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--no-input", "-r", str(HERE / f"{name}.txt")],
        ):
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=INSTALL_LIMIT_S, env=child_environment()
            )
            assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
        stamp.write_text(wanted)
    return python


def talk_write(source: Path, target: Path) -> None:
    """Write the first seconds of a recording as WAV; both voices are in them."""
    rate_hz = 16_000
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    with av.open(str(source)) as opened, wave.open(str(target), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate_hz)
        left = TALK_S * rate_hz
        for frame in opened.decode(audio=0):
            for piece in resampler.resample(frame):
                samples = piece.to_ndarray().reshape(-1)[:left]
                written.writeframes(samples.tobytes())
                left -= len(samples)
            if left <= 0:
                return
