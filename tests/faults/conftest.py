"""A worker host of real processes with the embedded models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.stack import Stack, spaces_make


@pytest.fixture
def stack(clean_database: Any) -> Iterator[Stack]:
    """Start engine host, workers and reaper on an emptied database; end them all afterwards."""
    spaces_make()
    running = Stack(clean_database.home)
    running.start()
    try:
        yield running
    finally:
        running.stop()
