"""Reads profiles: which roles a host serves, with which engine and model, on which device, and how wide.

They lie in configs/profiles/; a file of the same name in CLOISTER_HOME/profiles/ goes first, so that an administrator
names models of his own without touching the checkout.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import tomllib
from pathlib import Path
from typing import Any

from core.settings.env import REPOSITORY, env

_DEVICE = re.compile(r"cpu|cuda:\d+")


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
        devices: One device for each copy of the engine; the copies share one queue. Empty: one on ``device``.
        max_batch_items: Most items merged into one call.
        batch_units: Most tokens, pixels or samples of sound (whatever the role works on) merged into one call; 0: no
            bound but the number of items.
        bulk_batch_s: A batch of bulk work is cut so that it takes about so long, since an interactive request waits for
            the end of it; 0: not cut.
        concurrency: Calls that run at the same time inside the engine (continuous batching).
        nice: Priority of the engine process; bulk engines run at 10.
        idle_unload_s: Seconds without work after which the process is ended; 0 keeps it.
        pinned: Never ended to make room for another engine.
        options: What else the engine takes.
        preload: Load the engine with the host's start, not with its first request.
        recipe_version: The engine's recipe that the embedding space of this role was built with; checked at load.
        dimensions: Length of the role's vectors, for roles that embed.
        languages: Of a language model: text search configurations that it writes; others are answered by quoting.
        condenses: Of a language model: it is good enough to turn a follow-up into a question that stands alone.
    """

    role: str
    engine: str
    models: tuple[str, ...]
    threads: int = 1
    device: str = "cpu"
    devices: tuple[str, ...] = ()
    max_batch_items: int = 32
    batch_units: int = 0
    bulk_batch_s: float = 0.0
    concurrency: int = 1
    nice: int = 10
    idle_unload_s: float = 0.0
    pinned: bool = False
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    preload: bool = False
    recipe_version: str = ""
    dimensions: int = 0
    languages: tuple[str, ...] = ("english",)
    condenses: bool = False

    def places(self) -> tuple[RoleConfig, ...]:
        """Return one configuration per device that holds a copy of the engine."""
        if not self.devices:
            return (self,)
        return tuple(dataclasses.replace(self, device=device, devices=()) for device in self.devices)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named set of roles with the memory that the host's engines may take.

    Attributes:
        memory_budget_mib: For all engines on the CPU together, and for what engines on a GPU keep in main memory.
        device_budgets_mib: For all engines on a GPU together, by its name; each GPU that a role names has one.
        residency_s: An engine stays loaded at least so long before another takes its room.
    """

    name: str
    memory_budget_mib: int
    bulk_concurrency: int
    interactive_concurrency: int
    roles: dict[str, RoleConfig]
    device_budgets_mib: dict[str, int] = dataclasses.field(default_factory=dict)
    residency_s: float = 10.0

    def budgets_mib(self) -> dict[str, int]:
        """Return the budget of every device, the CPU included."""
        return {"cpu": self.memory_budget_mib, **self.device_budgets_mib}

    def places(self) -> tuple[RoleConfig, ...]:
        """Return every engine that the host may load, one per role and device."""
        return tuple(place for role in self.roles.values() for place in role.places())


def profile_read(name: str) -> Profile:
    """Read one profile.

    Raises:
        ProfileError: The file is missing, or has a field that is not known.
    """
    path = _path(name)
    try:
        data = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path}: {error}") from error
    try:
        roles = {role: _role(role, fields) for role, fields in data.pop("roles").items()}
        found = Profile(name=name, roles=roles, **data)
    except (TypeError, KeyError) as error:
        raise ProfileError(f"profile '{name}': {error}") from error
    _check(found)
    return found


def profiles_known() -> list[str]:
    """Return the names of all profiles: those of the repository, and the administrator's own."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.toml")})


def _folders() -> tuple[Path, ...]:
    return env().home_path / "profiles", REPOSITORY / "configs" / "profiles"


def _path(name: str) -> Path:
    for folder in _folders():
        if name in {path.stem for path in folder.glob("*.toml")}:
            return folder / f"{name}.toml"
    raise ProfileError(f"there is no profile '{name}'; known are {', '.join(profiles_known())}")


def _role(role: str, fields: dict[str, Any]) -> RoleConfig:
    for name in ("models", "devices", "languages"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return RoleConfig(role=role, **fields)


def _check(profile: Profile) -> None:
    for place in profile.places():
        if not _DEVICE.fullmatch(place.device):
            raise ProfileError(
                f"profile '{profile.name}', role '{place.role}': '{place.device}' is neither 'cpu' nor 'cuda:N'"
            )
        if place.device not in profile.budgets_mib():
            raise ProfileError(
                f"profile '{profile.name}', role '{place.role}': device '{place.device}' has no budget; "
                "give it one in device_budgets_mib"
            )


@functools.cache
def profile() -> Profile:
    """Return the profile that this process runs under."""
    return profile_read(env().profile)
