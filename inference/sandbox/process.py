"""One child process: starting it, one exchange of messages at a time, and ending it when it goes over a limit."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from inference.errors import DamagedFile, EngineUnavailable, InferenceError, LimitExceeded
from inference.sandbox import wire
from inference.sandbox.confinement import Protections
from inference.sandbox.staging import Staging

_WATCH_INTERVAL_S = 0.1
_START_WITHIN_S = 60.0
_DYING_S = 5.0
_READ_BYTES = 1024 * 1024
_IMPORT_ROOT = Path(__file__).resolve().parents[2]

# The kernel ends a child when the thread that started it ends (PR_SET_PDEATHSIG), so one long-lived thread starts all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-starter")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one request may use.

    Attributes:
        cpu_s: Processor seconds, of the child and all it started.
        wall_s: Seconds until it must have answered.
        memory_bytes: Resident bytes, of the child and all it started; also the child's address space.
    """

    cpu_s: float
    wall_s: float
    memory_bytes: int


class ChildProcess:
    """A confined child; not for two threads at once."""

    def __init__(self, staging: Staging, entry: Sequence[str], *, memory_bytes: int, starts_programs: bool) -> None:
        """Start it and wait until it has confined itself.

        Raises:
            EngineUnavailable: It did not start.
        """
        self.starts_programs = starts_programs
        self._staging = staging
        confinement = {
            "input_folder": str(staging.input_folder),
            "work_folder": str(staging.work_folder),
            "memory_bytes": memory_bytes,
            "starts_programs": starts_programs,
            "parent_pid": os.getpid(),
        }
        command = [sys.executable, "-P", "-B", "-s", *entry, json.dumps(confinement)]
        self._process = _starter.submit(self._start, command).result()
        self._watched = psutil.Process(self._process.pid)
        self._reason: str | None = None
        try:
            message, _ = self._read(Allowance(cpu_s=_START_WITHIN_S, wall_s=_START_WITHIN_S, memory_bytes=memory_bytes))
            self.protections = Protections(**message["hello"])
        except (EOFError, wire.MalformedMessage, KeyError, TypeError) as error:
            self.end()
            raise EngineUnavailable(
                f"the sandbox did not start: {self._reason or staging.log_tail()[-500:]}"
            ) from error

    @property
    def alive(self) -> bool:
        """Whether it can take another request."""
        return self._process.poll() is None

    def exchange(
        self, request: dict[str, Any], allowance: Allowance, name: str
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Send one request and return the reply and its artefacts.

        Args:
            request: The message.
            allowance: Limits; a child that goes over one is killed.
            name: The file's name, for sentences.

        Raises:
            LimitExceeded: It used too much time or memory.
            DamagedFile: It crashed.
            EngineUnavailable: Somebody else ended it.
        """
        self._reason = None
        try:
            self._write(request)
            return self._read(allowance)
        except (EOFError, BrokenPipeError) as error:
            if self._reason is None:
                # It went by itself; what it died of is in its status.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_DYING_S)
            self.end()
            raise self._death(allowance, name) from error
        except wire.MalformedMessage as error:
            self.end()
            raise DamagedFile(f"'{name}' made its parser answer nonsense ({error}); it may be damaged") from error

    def end(self) -> None:
        """Kill it and everything it started; return when it is gone."""
        for member in self._members()[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        work = str(self._staging.work_folder)
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": work,
            "TMPDIR": work,
            "PYTHONPATH": str(_IMPORT_ROOT),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        with self._staging.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=work,
                env=environment,
                bufsize=0,
                start_new_session=True,
            )

    def _write(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        for piece in wire.frame(request):
            rest = memoryview(piece)
            while rest:
                rest = rest[self._process.stdin.write(rest) :]

    def _read(self, allowance: Allowance) -> tuple[dict[str, Any], dict[str, bytes]]:
        return wire.read_frame(self._reader(allowance))

    def _reader(self, allowance: Allowance) -> Callable[[int], bytes]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + allowance.wall_s
        cpu_before_s = self._usage()[0]
        next_look = time.monotonic() + _WATCH_INTERVAL_S

        def read(count: int) -> bytes:
            nonlocal next_look
            content = bytearray()
            while len(content) < count:
                readable, _, _ = select.select([descriptor], [], [], _WATCH_INTERVAL_S)
                if readable:
                    piece = os.read(descriptor, min(_READ_BYTES, count - len(content)))
                    if not piece:
                        raise EOFError
                    content += piece
                if time.monotonic() >= next_look:
                    self._look(allowance, deadline, cpu_before_s)
                    next_look = time.monotonic() + _WATCH_INTERVAL_S
            return bytes(content)

        return read

    def _look(self, allowance: Allowance, deadline: float, cpu_before_s: float) -> None:
        cpu_s, resident_bytes = self._usage()
        if time.monotonic() > deadline:
            self._reason = f"took longer than {allowance.wall_s:.0f} s"
        elif cpu_s - cpu_before_s > allowance.cpu_s + 1:
            self._reason = f"needed more than {allowance.cpu_s:.0f} s of processor time"
        elif resident_bytes > allowance.memory_bytes:
            self._reason = f"needed more than {allowance.memory_bytes // 1024**2} MiB of memory"
        if self._reason is not None:
            raise EOFError

    def _members(self) -> list[psutil.Process]:
        try:
            return [self._watched, *self._watched.children(recursive=True)]
        except psutil.NoSuchProcess:
            return [self._watched]

    def _usage(self) -> tuple[float, int]:
        cpu_s, resident_bytes = 0.0, 0
        for member in self._members():
            try:
                with member.oneshot():
                    times = member.cpu_times()
                    resident_bytes += member.memory_info().rss
                cpu_s += times.user + times.system + times.children_user + times.children_system
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return cpu_s, resident_bytes

    def _death(self, allowance: Allowance, name: str) -> InferenceError:
        if self._reason is not None:
            return LimitExceeded(
                f"'{name}' {self._reason}, which is the limit for one step; split it into smaller files"
            )
        status = self._process.returncode
        if status == -signal.SIGXCPU:
            return LimitExceeded(
                f"'{name}' needed more than {allowance.cpu_s:.0f} s of processor time, which is the limit for one step"
            )
        if status in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
            return EngineUnavailable(
                f"the sandbox that read '{name}' was ended from outside (signal {-status}); try again"
            )
        if "bad_alloc" in self._staging.log_tail() or "MemoryError" in self._staging.log_tail():
            return LimitExceeded(f"'{name}' needed more than {allowance.memory_bytes // 1024**2} MiB of memory")
        cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return DamagedFile(f"'{name}' made its parser crash ({cause}); it is damaged or built to do so")
