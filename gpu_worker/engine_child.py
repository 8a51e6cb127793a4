"""The host's side of one engine process: starts it, sends it requests, notices its death."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.settings.env import REPOSITORY, child_environment
from core.settings.profile import RoleConfig
from inference import codec
from inference.codec import Item, Message
from inference.errors import EngineUnavailable

logger = logging.getLogger(__name__)

LOAD_LIMIT_S = 300.0
END_LIMIT_S = 5.0
STREAM_LIMIT_BYTES = 1 << 24
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_ALLOCATOR = {
    # One arena for each of the threads of torch, tokenizers and ours kept what batches of changing shapes had freed.
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 20),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What an engine process gave for one batch.

    Attributes:
        batch_items: How many items the engine itself counted in the call.
    """

    items: tuple[Item, ...]
    batch_items: int


@dataclasses.dataclass
class _Waiting:
    done: asyncio.Future[Answer]
    on_delta: Callable[[Item], None] | None = None


class EngineChild:
    """A running engine process; every waiting request fails with EngineUnavailable when it dies."""

    def __init__(
        self,
        config: RoleConfig,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.config = config
        self.attributes: dict[str, Any] = {}
        self.load_s = 0.0
        self.is_dead = False
        self._process = process
        self._reader = reader
        self._writer = writer
        self._waiting: dict[str, _Waiting] = {}
        self._serial = 0
        self._listening = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """Process id of the engine."""
        return self._process.pid

    @classmethod
    async def start(cls, config: RoleConfig, folders: Sequence[Path], *, device_uuid: str = "") -> EngineChild:
        """Start the process, load the engine and have it do a first small piece of work.

        Args:
            config: Which engine, how wide.
            folders: Of its models.
            device_uuid: NVML's identity of the GPU that ``config.device`` names: the process sees no other one.

        Raises:
            EngineUnavailable: The process ended, or did not load within the limit.
            InferenceError: What loading raised.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *_command(config, theirs.fileno()),
                cwd=REPOSITORY,
                env=_environment(config, device_uuid),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=STREAM_LIMIT_BYTES)
        child = cls(config, process, reader, writer)
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(LOAD_LIMIT_S):
                await child._load(folders, sees_own_device_alone=bool(device_uuid))
        except TimeoutError as error:
            await child.end()
            raise EngineUnavailable(
                f"engine '{config.engine}' of role '{config.role}' did not load within {LOAD_LIMIT_S:.0f} s"
            ) from error
        except BaseException:
            await child.end()
            raise
        child.load_s = time.monotonic() - begun_s
        return child

    async def probe(self) -> None:
        """Run the largest batch that the profile allows, so that the process shows what memory it takes at most.

        Raises:
            InferenceError: What the engine raised; OutOfMemory where the batch does not fit.
        """
        config = self.config
        await self._request(
            "probe", (), {"max_batch_items": config.max_batch_items, "batch_units": config.batch_units}, None
        )

    async def call(self, method: str, items: Sequence[Item]) -> Answer:
        """Run one batch.

        Raises:
            EngineUnavailable: The process died meanwhile.
            InferenceError: What the engine raised.
        """
        return await self._request(method, items, {}, None)

    async def stream(self, method: str, items: Sequence[Item], on_delta: Callable[[Item], None]) -> None:
        """Run one stream; every piece is handed to ``on_delta``. Cancelling the task cancels the stream."""
        await self._request(method, items, {}, on_delta)

    async def end(self) -> None:
        """End the process: close its socket, kill it when it does not go by itself."""
        self._writer.close()
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listening

    async def _load(self, folders: Sequence[Path], *, sees_own_device_alone: bool) -> None:
        config = self.config
        await self._request(
            "load",
            (),
            {
                "engine": config.engine,
                "folders": [str(folder) for folder in folders],
                "threads": config.threads,
                "device": "cuda:0" if sees_own_device_alone else config.device,
                "options": config.options,
                "concurrency": config.concurrency,
                "recipe_version": config.recipe_version,
            },
            None,
        )

    async def _request(
        self, method: str, items: Sequence[Item], parameters: dict[str, Any], on_delta: Callable[[Item], None] | None
    ) -> Answer:
        if self.is_dead:
            raise self._gone()
        self._serial += 1
        request_id = str(self._serial)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), on_delta)
        self._waiting[request_id] = waiting
        try:
            await codec.frame_write_async(
                self._writer, Message(id=request_id, method=method, parameters=parameters, items=tuple(items))
            )
            return await asyncio.shield(waiting.done)
        except ConnectionError as error:
            raise self._gone() from error
        except asyncio.CancelledError:
            await self._cancel(request_id, waiting)
            raise
        finally:
            self._waiting.pop(request_id, None)
            if waiting.done.done() and not waiting.done.cancelled():
                waiting.done.exception()

    async def _cancel(self, request_id: str, waiting: _Waiting) -> None:
        # The engine answers a cancelled stream like a finished one; until then its thread is not free.
        waiting.on_delta = None
        try:
            await codec.frame_write_async(self._writer, Message(id=request_id, method="cancel"))
        except ConnectionError:
            return
        await asyncio.wait([waiting.done])

    async def _listen(self) -> None:
        try:
            while (message := await codec.frame_read_async(self._reader)) is not None:
                self._receive(message)
        except (ConnectionError, codec.CodecError) as error:
            logger.warning("connection to engine '%s' ended: %s", self.config.engine, error)
        self.is_dead = True
        for waiting in self._waiting.values():
            if not waiting.done.done():
                waiting.done.set_exception(self._gone())
        self._writer.close()

    def _receive(self, message: Message) -> None:
        waiting = self._waiting.get(message.id)
        if waiting is None or waiting.done.done():
            return
        if message.error is not None:
            waiting.done.set_exception(message.error.as_exception())
        elif message.method == codec.DELTA:
            if waiting.on_delta is not None:
                waiting.on_delta(message.items[0])
        else:
            self.attributes.update(message.parameters.get("attributes", {}))
            waiting.done.set_result(Answer(message.items, int(message.parameters.get("batch_items", 0))))

    def _gone(self) -> EngineUnavailable:
        return EngineUnavailable(
            f"the process of engine '{self.config.engine}' for role '{self.config.role}' ended; it is started again "
            "with the next request"
        )


def _environment(config: RoleConfig, device_uuid: str) -> dict[str, str]:
    return child_environment(
        **dict.fromkeys(_THREAD_VARIABLES, str(config.threads)),
        **_ALLOCATOR,
        # An engine on the CPU opens no GPU by accident, and one on a GPU sees that one alone.
        CUDA_VISIBLE_DEVICES=device_uuid,
    )


def _command(config: RoleConfig, fd: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gpu_worker.engine_process",
        "--role",
        config.role,
        "--fd",
        str(fd),
        "--nice",
        str(config.nice),
    ]
