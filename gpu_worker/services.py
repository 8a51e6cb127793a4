"""What the threads of one worker process share: its slot's name, the door to the engines, the sandboxes."""

from __future__ import annotations

import functools
import socket
from pathlib import Path

from core.host.paths import home_layout
from core.settings.env import env
from core.settings.profile import profile
from gpu_worker.engine_pool import EnginePool
from gpu_worker.places import engines_socket
from inference.sandbox import Sandbox, SandboxPool


def slot_of(queue: str) -> str:
    """Return the name of this worker's slot: one worker of one host, the same after a restart."""
    return f"{env().slot or queue}@{socket.gethostname()}"


@functools.cache
def engines() -> EnginePool:
    """Return this process's door to the engine host."""
    return EnginePool(engines_socket(env().home_path))


@functools.cache
def sandboxes() -> SandboxPool:
    """Return this process's sandboxes; files are handed to them by hard link where the file system allows."""
    staging = home_layout(env().home_path).run / "sandbox"
    staging.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(owner: str) -> Sandbox:
        return Sandbox(owner, staging_folder=Path(staging))

    return SandboxPool(profile().bulk_concurrency, make)


def slot_set(name: str) -> None:
    """Say once, at the start of the process, which slot it is."""
    _Slot.name = name


def slot() -> str:
    """Return the slot of this process, as it stands in the leases it takes."""
    return _Slot.name


class _Slot:
    name = ""
