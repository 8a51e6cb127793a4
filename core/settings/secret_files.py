"""Passwords and keys, each in a file of its own that only this account may read; import them from core.host.secrets."""

from __future__ import annotations

import os
import secrets as randomness
from pathlib import Path
from typing import Final, Literal

from core.settings.places import home_layout

SecretName = Literal["django", "postgres_admin", "postgres_owner", "postgres_app", "broker", "cli_token", "admin_login"]

GIVEN: Final = frozenset({"cli_token"})
"""Secrets that something else makes; they are stored, never invented."""


class SecretMissing(Exception):
    """A secret that Cloister does not invent is not there yet."""


def secret(home: Path, name: SecretName) -> str:
    """Return a secret; made at first use, the same for every process that asks at the same time.

    Raises:
        SecretMissing: ``cli_token`` before ``./cloister up`` stored one.
    """
    path = home_layout(home).secrets / name
    try:
        return path.read_text()
    except FileNotFoundError:
        if name in GIVEN:
            raise SecretMissing(f"there is no {name} in {path.parent}; run ./cloister up first") from None
    draft = _draft(path, randomness.token_urlsafe(32))
    try:
        os.link(draft, path)
    except FileExistsError:
        # Another process was first: its value holds.
        return path.read_text()
    finally:
        draft.unlink()
    return path.read_text()


def secret_store(home: Path, name: SecretName, value: str) -> None:
    """Store a secret in place of the one before."""
    path = home_layout(home).secrets / name
    _draft(path, value).replace(path)


def _draft(path: Path, value: str) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{randomness.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(value)
    return draft
