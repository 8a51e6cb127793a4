"""A worker host of real processes with the embedded models, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.stack import Stack, spaces_make


@pytest.fixture(scope="module")
def stack(services: Any) -> Iterator[Stack]:
    """Start engine host, workers and reaper; end them all afterwards."""
    spaces_make()
    running = Stack(services.home)
    running.start()
    try:
        yield running
    finally:
        running.stop()
