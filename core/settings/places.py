"""Where everything lies under CLOISTER_HOME, and where the sockets are; import them from core.host.paths."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from core.settings.env import runtime_directory

SOCKET_ADDRESS_BYTES = 107
"""Longest address of a unix socket on Linux, without the closing zero byte."""

LONGEST_SOCKET_NAME_BYTES = 40
"""Room that a socket's own file name may take."""


class PlaceRefused(Exception):
    """A folder is not ours, is open to others, or its path is too long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HomeLayout:
    """The folders of one CLOISTER_HOME; none of them need exist yet."""

    home: Path
    postgres: Path
    broker: Path
    blobs: Path
    artefacts: Path
    logs: Path
    secrets: Path
    run: Path

    def make(self) -> HomeLayout:
        """Make the missing folders, open to this account alone."""
        self.home.mkdir(parents=True, exist_ok=True)
        for folder in (
            self.postgres,
            self.broker,
            self.blobs,
            self.artefacts,
            self.logs,
            self.secrets,
            self.run,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)
        return self


def home_layout(home: Path) -> HomeLayout:
    """Return the folders of ``home``."""
    root = home.expanduser().resolve()
    return HomeLayout(
        home=root,
        postgres=root / "postgres",
        broker=root / "broker",
        blobs=root / "blobs",
        artefacts=root / "artefacts",
        logs=root / "logs",
        secrets=root / "secrets",
        run=root / "run",
    )


def socket_directory(home: Path) -> Path:
    """Return the 0700 folder of this home's sockets, made when missing.

    It is outside of ``home``, whose path may be longer than a socket address. The place is noted in ``home/run``, so
    that a shell with another XDG_RUNTIME_DIR finds the same sockets.

    Raises:
        PlaceRefused: The folder belongs to another account or others may enter it, or its path is too long.
    """
    root = home.expanduser().resolve()
    name = f"cloister-{os.getuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}"
    noted = _noted(root, name)
    if noted is not None:
        return noted
    folder = _base() / name
    if len(os.fsencode(folder)) > SOCKET_ADDRESS_BYTES - LONGEST_SOCKET_NAME_BYTES:
        raise PlaceRefused(
            f"the socket folder {folder} is longer than {SOCKET_ADDRESS_BYTES - LONGEST_SOCKET_NAME_BYTES} bytes; "
            "set XDG_RUNTIME_DIR or TMPDIR to a shorter path"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    _check(folder)
    _note(root, folder)
    return folder


def _base() -> Path:
    runtime = runtime_directory()
    if runtime and Path(runtime).is_dir() and Path(runtime).stat().st_uid == os.getuid():
        return Path(runtime)
    return Path(tempfile.gettempdir())


def _check(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PlaceRefused(f"{folder} is not a folder of this account; remove it and start again")
    if stat.S_IMODE(found.st_mode) != 0o700:
        raise PlaceRefused(f"{folder} may be entered by others; set its mode to 0700 and start again")


def _noted(root: Path, name: str) -> Path | None:
    try:
        noted = Path((root / "run" / "sockets").read_text().strip())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if noted.name != name or not noted.is_dir():
        return None
    _check(noted)
    return noted


def _note(root: Path, folder: Path) -> None:
    run = root / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = run / f"sockets.{os.getpid()}"
    draft.write_text(f"{folder}\n")
    draft.replace(run / "sockets")
