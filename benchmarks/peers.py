"""Libraries that the project is compared with, each in a virtual environment of its own under CLOISTER_HOME/peers."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.settings.env import child_environment, env

INSTALL_LIMIT_S = 1800
ERROR_LINES = 25


class PeerBroken(Exception):
    """A peer was installed but ended with an error; the message holds the end of what it wrote."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerFailed:
    """A peer that could not be installed; a suite reports it in place of its figure.

    Attributes:
        reason: The end of pip's own output.
    """

    name: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerEnvironment:
    """An installed peer.

    Attributes:
        python: Its interpreter.
        versions: What pip installed, by name.
    """

    name: str
    python: Path
    versions: Mapping[str, str]

    def start(self, arguments: Sequence[str], **environment: str) -> subprocess.Popen[str]:
        """Start the peer's Python with pipes for input and output; nothing of this project is on its path."""
        return subprocess.Popen(
            [str(self.python), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment(PYTHONPATH="", **environment),
        )

    def ask(self, arguments: Sequence[str], *, given: Any = None, limit_s: float = 600.0, **environment: str) -> Any:
        """Run the peer's Python once: ``given`` as JSON on its stdin, one JSON object from the last line of its stdout.

        Raises:
            PeerBroken: It ended with an error or wrote no JSON.
            subprocess.TimeoutExpired: It took longer than ``limit_s``.
        """
        child = self.start(arguments, **environment)
        try:
            written, complaint = child.communicate(json.dumps(given), timeout=limit_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise
        if child.returncode != 0:
            raise PeerBroken(f"{self.name} ended with {child.returncode}: {_tail(complaint)}")
        try:
            return json.loads(written.strip().splitlines()[-1])
        except (IndexError, json.JSONDecodeError) as error:
            raise PeerBroken(f"{self.name} wrote no JSON: {_tail(written + complaint)}") from error


def peer_python(
    name: str, requirements: Sequence[str], *, pip_options: Sequence[str] = ()
) -> PeerEnvironment | PeerFailed:
    """Return the environment of a peer, made by pip at first use and again when its requirements change.

    Args:
        name: Folder below CLOISTER_HOME/peers.
        requirements: What pip installs, pinned.
        pip_options: Further options of ``pip install``, such as ``--no-deps``.
    """
    folder = env().home_path / "peers" / name
    python = folder / "bin" / "python"
    stamp = folder / "cloister-peer.json"
    wanted = {"requirements": list(requirements), "pip_options": list(pip_options), "python": sys.version.split()[0]}
    if stamp.is_file() and json.loads(stamp.read_text()) == wanted and python.exists():
        return PeerEnvironment(name=name, python=python, versions=_versions(python))
    folder.parent.mkdir(parents=True, exist_ok=True)
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [
            *(str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
            *pip_options,
            *requirements,
        ],
    )
    for command in steps:
        sys.stderr.write(f"peer {name}: {' '.join(command[1:])}\n")
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=INSTALL_LIMIT_S,
                env=child_environment(PYTHONPATH=""),
            )
        except subprocess.TimeoutExpired:
            return PeerFailed(name=name, reason=f"'{' '.join(command)}' took longer than {INSTALL_LIMIT_S} s")
        if done.returncode != 0:
            return PeerFailed(name=name, reason=_tail(done.stdout + done.stderr))
    stamp.write_text(json.dumps(wanted))
    return PeerEnvironment(name=name, python=python, versions=_versions(python))


def _versions(python: Path) -> dict[str, str]:
    shown = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(PYTHONPATH=""),
    )
    return {one["name"].lower(): one["version"] for one in json.loads(shown.stdout)}


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-ERROR_LINES:])
