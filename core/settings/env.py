"""The only reader of the environment: typed, frozen, and refusing a ``CLOISTER_*`` name that it does not know."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parents[2]


class UnknownSetting(Exception):
    """An environment name starts with CLOISTER_ and is no setting."""


class Env(BaseSettings):
    """Every setting of Cloister; each is read from ``CLOISTER_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="CLOISTER_", frozen=True, extra="forbid")

    home: Path = Field(default=REPOSITORY / "var", description="Folder that holds all state.")
    weights: Path = Field(default=REPOSITORY / "weights", description="Model store.")
    profile: str = Field(default="embedded", description="Name of a file in configs/profiles/, without .toml.")
    host: str = Field(default="127.0.0.1", description="Address the web server binds to.")
    port: int = Field(default=8765, ge=0, le=65535, description="Port of the web server; 0 picks a free one.")
    database_url: str | None = Field(default=None, description="External PostgreSQL, application role.")
    owner_database_url: str | None = Field(default=None, description="External PostgreSQL, owner role; set-up only.")
    broker_url: str | None = Field(default=None, description="External Redis or Valkey.")
    allowed_addresses: str = Field(
        default="", description="Comma-separated addresses or networks the egress guard lets through."
    )
    allowed_hosts: str = Field(default="", description="Comma-separated host names the web server answers to.")
    debug: bool = Field(default=False, description="Django's debug pages; never in production.")
    log_level: str = Field(default="INFO", description="Level of all logs.")
    answer_grace_s: float = Field(default=15.0, gt=0, description="How long a dropped answer stream may resume.")
    upload_max_mib: int = Field(default=4096, gt=0, description="Largest accepted upload.")
    upload_expiry_s: float = Field(
        default=24 * 3600.0, gt=0, description="How long an unfinished resumable upload is kept after its last byte."
    )
    searches_per_minute: int = Field(default=30_000, gt=0, description="Searches of one user; beyond it 429.")
    questions_per_minute: int = Field(default=600, gt=0, description="Questions of one user; beyond it 429.")
    uploads_per_minute: int = Field(default=30_000, gt=0, description="New documents of one user; beyond it 429.")
    failed_logins_per_minute: int = Field(
        default=10, gt=0, description="Wrong passwords for one name from one address; beyond it 429."
    )
    slot: str = Field(default="", description="Name of this worker slot; set by the supervisor.")
    egress_exempt: str = Field(
        default="", description="Set by set-up commands alone: the reason why this process may use the network."
    )

    @property
    def home_path(self) -> Path:
        """CLOISTER_HOME as an absolute real path."""
        return self.home.expanduser().resolve()


def _refuse_unknown() -> None:
    known = {f"CLOISTER_{name.upper()}" for name in Env.model_fields}
    for name in os.environ:  # noqa: TID251 - this module is the one reader
        if name.startswith("CLOISTER_") and name not in known:
            raise UnknownSetting(f"{name} is not a setting of Cloister; known are {', '.join(sorted(known))}")


def runtime_directory() -> str:
    """Return ``$XDG_RUNTIME_DIR``, or an empty string where the session has none."""
    return os.environ.get("XDG_RUNTIME_DIR", "")  # noqa: TID251 - this module is the one reader


def child_environment(**changes: str) -> dict[str, str]:
    """Return the environment for a child process: this process's, with ``changes`` on top."""
    return {**os.environ, **changes}  # noqa: TID251 - this module is the one reader


def environment_set(**changes: str) -> None:
    """Change this process's own environment, for itself and its later children; settings are read afresh."""
    os.environ.update(changes)  # noqa: TID251 - this module is the one reader
    env.cache_clear()


def environment_default(**values: str) -> None:
    """Set what this process's environment does not say yet."""
    for name, value in values.items():
        os.environ.setdefault(name, value)  # noqa: TID251 - this module is the one reader


@functools.cache
def env() -> Env:
    """Return the settings of this process, read once.

    Raises:
        UnknownSetting: A ``CLOISTER_*`` name is not known.
        pydantic.ValidationError: A value has the wrong type or range.
    """
    _refuse_unknown()
    return Env()
