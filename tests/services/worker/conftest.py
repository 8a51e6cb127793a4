"""An engine host of this process with fake engines in real processes."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.settings.profile import Profile, RoleConfig
from gpu_worker.engine_host import EngineHost
from gpu_worker.engine_pool import EnginePool

HostRun = Callable[..., contextlib.AbstractContextManager[EnginePool]]

ROLES = {
    "text": RoleConfig(role="text", engine="fake_text", models=(), max_batch_items=8, nice=0),
    "speech": RoleConfig(role="speech", engine="fake_speech", models=(), max_batch_items=4, nice=0),
    "language": RoleConfig(role="language", engine="fake_language", models=(), concurrency=3, nice=0),
}


@contextlib.contextmanager
def running_host(
    *, budget_mib: int = 4000, roles: dict[str, RoleConfig] | None = None, residency_s: float = 0.0
) -> Iterator[EnginePool]:
    """Serve the roles from a thread of this process until the block ends."""
    profile = Profile(
        name="fakes",
        memory_budget_mib=budget_mib,
        bulk_concurrency=1,
        interactive_concurrency=1,
        residency_s=residency_s,
        roles=roles if roles is not None else ROLES,
    )
    with tempfile.TemporaryDirectory(prefix="cloister-engines-") as folder:
        ready: threading.Event = threading.Event()
        stop: list[Callable[[], None]] = []

        async def serve() -> None:
            host = EngineHost(profile, socket_path=Path(folder) / "engines.sock", run_folder=Path(folder), store=None)
            loop = asyncio.get_running_loop()
            stop.append(lambda: loop.call_soon_threadsafe(host.stop))
            ready.set()
            await host.serve()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), name="engine-host")
        thread.start()
        assert ready.wait(10)
        pool = EnginePool(Path(folder) / "engines.sock")
        try:
            yield pool
        finally:
            pool.close()
            stop[0]()
            thread.join(timeout=30)
            assert not thread.is_alive()


@pytest.fixture
def host() -> Iterator[EnginePool]:
    with running_host() as pool:
        yield pool


@pytest.fixture
def host_run() -> HostRun:
    return running_host
