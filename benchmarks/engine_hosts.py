"""An engine host of its own for a measurement: with roles and a budget that the suite chooses, apart from any stack."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.settings.env import REPOSITORY, child_environment
from core.settings.profile import Profile, RoleConfig
from gpu_worker.engine_pool import EnginePool
from gpu_worker.places import engines_socket
from inference.errors import EngineUnavailable

START_S = 300.0
PROFILE = "bench"


@dataclasses.dataclass(frozen=True, slots=True)
class RunningHost:
    """A host process and a door to its engines."""

    pid: int
    pool: EnginePool

    def engine(self, role: str) -> dict[str, Any]:
        """Return the report of a role's engine."""
        found: dict[str, Any] = next(one for one in self.pool.status()["engines"] if one["role"] == role)
        return found

    def load(self, role: str) -> None:
        """Have a role's engine loaded and warm."""
        self.pool.attributes(role=role, deadline_s=START_S)


@contextlib.contextmanager
def engine_host(profile: Profile) -> Iterator[RunningHost]:
    """Run an engine host of this profile until the block ends; its log goes to this process's stderr."""
    with tempfile.TemporaryDirectory(prefix="cloister-bench-") as folder:
        home = Path(folder)
        (home / "profiles").mkdir()
        (home / "profiles" / f"{PROFILE}.toml").write_text(profile_text(profile))
        process = subprocess.Popen(
            [sys.executable, "-m", "gpu_worker.engine_host"],
            cwd=REPOSITORY,
            env=child_environment(CLOISTER_HOME=folder, CLOISTER_PROFILE=PROFILE, CLOISTER_LOG_LEVEL="WARNING"),
            stdin=subprocess.DEVNULL,
        )
        pool = EnginePool(engines_socket(home))
        try:
            _wait_ready(pool, process)
            yield RunningHost(process.pid, pool)
        finally:
            pool.close()
            process.terminate()
            process.wait(30)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(engines_socket(home).parent)  # noqa: PTH106 - only when it is empty


def profile_text(profile: Profile) -> str:
    """Return a profile as the text of its file."""
    lines = [
        f"{name} = {_toml(getattr(profile, name))}"
        for name in (
            "memory_budget_mib",
            "bulk_concurrency",
            "interactive_concurrency",
            "residency_s",
            "device_budgets_mib",
        )
    ]
    for role, config in profile.roles.items():
        lines += ["", f"[roles.{role}]", *_role_lines(config)]
    return "\n".join(lines) + "\n"


def _role_lines(config: RoleConfig) -> list[str]:
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.name != "role"}
    return [f"{name} = {_toml(value)}" for name, value in fields.items()]


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return f'"{value}"'
        case tuple() | list():
            return f"[{', '.join(_toml(one) for one in value)}]"
        case Mapping():
            return "{ " + ", ".join(f'"{key}" = {_toml(one)}' for key, one in value.items()) + " }"
    raise TypeError(f"a profile holds no {type(value).__name__}")


def _wait_ready(pool: EnginePool, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise EngineUnavailable(f"the engine host ended with {process.returncode}")
        try:
            if pool.brief(timeout_s=5.0)["ready"]:
                return
        except EngineUnavailable:
            continue
        time.sleep(0.05)
    raise EngineUnavailable(f"the engine host was not ready within {START_S:.0f} s")
