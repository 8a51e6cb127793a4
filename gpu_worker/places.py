"""Where the engine host listens, and where the models are."""

from __future__ import annotations

import functools
from pathlib import Path

from core.host.paths import socket_directory
from core.settings.env import env
from core.settings.model_catalog import model_catalog
from models_local.store import Store

SOCKET_NAME = "engines.sock"


def engines_socket(home: Path) -> Path:
    """Return the path of the engine host's socket for a CLOISTER_HOME."""
    return socket_directory(home) / SOCKET_NAME


@functools.cache
def model_store() -> Store:
    """Return the model store of this installation."""
    return Store(env().weights.resolve(), model_catalog())
