"""supervisord of one CLOISTER_HOME: its configuration, its life, and a client over its unix socket."""

from __future__ import annotations

import dataclasses
import http.client
import os
import shlex
import signal
import socket
import string
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from core.host.paths import home_layout, socket_directory
from core.host.process import ServerFailed, wait_until
from core.host.programs import Program, programs
from core.settings.env import REPOSITORY, child_environment

SHUTDOWN_S: Final = 120.0
ORPHAN_S: Final = 15.0

_TEMPLATES = REPOSITORY / "configs" / "supervisor"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """How one program is.

    Attributes:
        state: supervisord's word: RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL, ...
        pid: None while it does not run.
        uptime_s: Seconds since its last start; 0 while it does not run.
    """

    name: str
    state: str
    pid: int | None
    uptime_s: float
    log: str


class Supervisor:
    """supervisord of one home."""

    def __init__(self, home: Path) -> None:
        self._layout = home_layout(home)
        self._sockets = socket_directory(home)
        self._socket = self._sockets / "supervisor.sock"

    def alive(self) -> bool:
        """Say whether supervisord answers."""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException):
            return False

    def start(self) -> None:
        """Start supervisord in the background; no program starts with it."""
        self._layout.make()
        configuration = self._configuration_write()
        done = subprocess.run(
            [sys.executable, "-m", "core.host.supervisor_process", "-c", str(configuration)],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=child_environment(CLOISTER_HOME=str(self._layout.home), PYTHONPATH=str(REPOSITORY)),
        )
        if done.returncode != 0:
            raise ServerFailed(f"supervisord did not start: {done.stderr.strip() or done.stdout.strip()}")
        wait_until(self.alive, timeout_s=30, what="an answer of supervisord")

    def program_start(self, name: str) -> None:
        """Start a program unless it runs or is on its way."""
        state = self._call("getProcessInfo", name)["statename"]
        if state not in ("RUNNING", "STARTING", "BACKOFF"):
            wait = False
            self._call("startProcess", name, wait)

    def program_state(self, name: str) -> ProcessState:
        """Return how one program is."""
        return _state(self._call("getProcessInfo", name))

    def states(self) -> list[ProcessState]:
        """Return how every program is, in starting order; empty when supervisord does not answer."""
        if not self.alive():
            return []
        return [_state(info) for info in sorted(self._call("getAllProcessInfo"), key=_start_order)]

    def pids(self) -> list[int]:
        """Return the pid of supervisord, whose descendants are all processes of this home; none when it is not up."""
        return [int(self._call("getPID"))] if self.alive() else []

    def stop(self) -> list[str]:
        """Stop every program and supervisord, then whatever a crashed supervisord left behind.

        Returns:
            What was stopped, as ``name (pid)``.
        """
        stopped = [f"{state.name} ({state.pid})" for state in self.states() if state.pid]
        if self.alive():
            supervisord = psutil.Process(self._call("getPID"))
            self._call("shutdown")
            supervisord.wait(SHUTDOWN_S)
        return stopped + self.orphans_stop()

    def orphans_stop(self) -> list[str]:
        """End the processes that a dead supervisord of this home left running; children end with their parents."""
        roots = self.orphans()
        names = [f"{_label(root)} ({root.pid})" for root in roots]
        postgres = [root for root in roots if self._serves(root, "postgres")]
        broker = [root for root in roots if self._serves(root, "broker")]
        # A worker that has lost its broker would first try to find it again.
        _end([root for root in roots if root not in postgres and root not in broker], signal.SIGTERM)
        _end(broker, signal.SIGTERM)
        _end(postgres, signal.SIGINT)
        return names

    def orphans(self) -> list[psutil.Process]:
        """Return the topmost processes that a supervisord of this home, now gone, has started."""
        if self.alive():
            return []
        own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = {p.pid: p for p in psutil.process_iter() if p.pid not in own and self._is_ours(p)}
        return [process for process in found.values() if _parent(process) not in found]

    def _is_ours(self, process: psutil.Process) -> bool:
        # supervisord names its socket in the environment of what it starts, and children inherit it; the two servers
        # write their titles over it, but work in their own data folder.
        if self._serves(process, "postgres") or self._serves(process, "broker"):
            return True
        try:
            return bool(process.environ().get("SUPERVISOR_SERVER_URL") == f"unix://{self._socket}")
        except (psutil.Error, OSError):
            return False

    def _serves(self, process: psutil.Process, what: str) -> bool:
        folder, names = {
            "postgres": (self._layout.postgres / "data", {"postgres"}),
            "broker": (self._layout.broker, {"valkey-server", "redis-server"}),
        }[what]
        try:
            return process.name() in names and process.cwd() == str(folder)
        except (psutil.Error, OSError):
            return False

    def _configuration_write(self) -> Path:
        path = self._layout.run / "supervisord.conf"
        text = [self._render("supervisord.conf", user="user=root" if os.getuid() == 0 else "")]
        for order, program in enumerate(programs(self._layout.home), start=1):
            text.append(self._program(program, priority=order * 10))
        path.write_text("".join(text))
        path.chmod(0o600)
        return path

    def _program(self, program: Program, *, priority: int) -> str:
        return self._render(
            "program.conf",
            name=program.name,
            command=_escaped(shlex.join(program.command)),
            environment=",".join(f'{name}="{_escaped(value)}"' for name, value in program.environment.items()),
            priority=str(priority),
            stop_signal=program.stop_signal,
            stop_wait_s=str(program.stop_wait_s),
            as_group="true" if program.as_group else "false",
        )

    def _render(self, template: str, **values: str) -> str:
        return string.Template((_TEMPLATES / template).read_text()).substitute(
            sockets=_escaped(str(self._sockets)),
            logs=_escaped(str(self._layout.logs)),
            run=_escaped(str(self._layout.run)),
            repository=_escaped(str(REPOSITORY)),
            **values,
        )

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(self._socket)
        with xmlrpc.client.ServerProxy("http://supervisor", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        # Where the base class looks for what it closes.
        self._connection = (host, connection)
        return connection


def _state(info: dict[str, Any]) -> ProcessState:
    return ProcessState(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"] or None,
        uptime_s=float(time.time() - info["start"]) if info["pid"] else 0.0,
        log=info["stdout_logfile"],
    )


_ORDER: Final[Sequence[str]] = (
    "postgres",
    "broker",
    "engine-host",
    "web",
    "worker-interactive",
    "worker-bulk",
    "reaper",
)


def _start_order(info: dict[str, Any]) -> int:
    return _ORDER.index(info["name"])


def _escaped(text: str) -> str:
    # supervisord expands %(name)s.
    return text.replace("%", "%%")


def _children(process: psutil.Process) -> Iterable[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _parent(process: psutil.Process) -> int | None:
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return None


def _label(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("SUPERVISOR_PROCESS_NAME") or process.name())
    except (psutil.Error, OSError):
        return "ended"


def _end(roots: Sequence[psutil.Process], how: signal.Signals) -> None:
    family = {process.pid: process for root in roots for process in (root, *_children(root))}
    for root in roots:
        _signal(root, how)
    _, alive = psutil.wait_procs(family.values(), timeout=ORPHAN_S)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=ORPHAN_S)


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    try:
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return
