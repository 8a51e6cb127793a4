"""Reads configs/profiles/*.toml: which roles a host serves, with which engine and model, and how wide."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from typing import Any

from core.settings.env import REPOSITORY, env


class ProfileError(Exception):
    """A profile is missing or has a field that is not known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoleConfig:
    """How one role is served.

    Attributes:
        role: speech, speaker, ocr, layout, text, image_text, vision, language or reranker.
        engine: Name in inference.registry.
        models: Catalog names, the engine's main model first.
        threads: Threads that the engine process may use.
        device: ``cpu`` or ``cuda:N``.
        max_batch_items: Most items merged into one call.
        concurrency: Calls that run at the same time inside the engine (continuous batching).
        nice: Priority of the engine process; bulk engines run at 10.
        idle_unload_s: Seconds without work after which the process is ended; 0 keeps it.
        options: What else the engine takes.
        preload: Load the engine with the host's start, not with its first request.
        recipe_version: The engine's recipe that the embedding space of this role was built with; checked at load.
        dimensions: Length of the role's vectors, for roles that embed.
    """

    role: str
    engine: str
    models: tuple[str, ...]
    threads: int = 1
    device: str = "cpu"
    max_batch_items: int = 32
    concurrency: int = 1
    nice: int = 10
    idle_unload_s: float = 0.0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    preload: bool = False
    recipe_version: str = ""
    dimensions: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named set of roles with the memory budget of the host's engines."""

    name: str
    memory_budget_mib: int
    bulk_concurrency: int
    interactive_concurrency: int
    roles: dict[str, RoleConfig]


def profile_read(name: str) -> Profile:
    """Read one profile.

    Raises:
        ProfileError: The file is missing, or has a field that is not known.
    """
    path = REPOSITORY / "configs" / "profiles" / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml")))
        raise ProfileError(f"there is no profile '{name}'; known are {known}")
    try:
        data = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path}: {error}") from error
    roles = data.pop("roles")
    try:
        return Profile(
            name=name,
            roles={
                role: RoleConfig(role=role, models=tuple(fields.pop("models")), **fields)
                for role, fields in roles.items()
            },
            **data,
        )
    except (TypeError, KeyError) as error:
        raise ProfileError(f"profile '{name}': {error}") from error


@functools.cache
def profile() -> Profile:
    """Return the profile that this process runs under."""
    return profile_read(env().profile)
