"""The programs that one host runs, in the order in which they start."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from core.host.broker import EmbeddedBroker
from core.host.postgres import EmbeddedPostgres
from core.settings.env import env


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One supervised process.

    Attributes:
        as_group: Stop and kill the whole process group, children included.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_wait_s: int = 20
    as_group: bool = False


def programs(home: Path) -> tuple[Program, ...]:
    """Return what this host runs; a service with an address of its own is not among it."""
    settings = env()
    services: list[Program] = []
    if settings.database_url is None:
        postgres = tuple(EmbeddedPostgres(home).command())
        services.append(Program(name="postgres", command=postgres, stop_signal="INT", stop_wait_s=60))
    if settings.broker_url is None:
        services.append(Program(name="broker", command=tuple(EmbeddedBroker(home).command())))
    return (
        *services,
        _python("engine-host", "gpu_worker.engine_host", as_group=True),
        _python("web", "core.host.web_process", stop_wait_s=30),
        _python("worker-interactive", "gpu_worker.worker", "--queue", "interactive", as_group=True),
        _python("worker-bulk", "gpu_worker.worker", "--queue", "bulk", as_group=True),
        _python("reaper", "gpu_worker.reaper"),
    )


def _python(name: str, module: str, *arguments: str, as_group: bool = False, stop_wait_s: int = 20) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-m", module, *arguments),
        environment={"CLOISTER_SLOT": name, "PYTHONUNBUFFERED": "1"},
        as_group=as_group,
        stop_wait_s=stop_wait_s,
    )
