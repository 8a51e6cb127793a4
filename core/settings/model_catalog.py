"""The catalog of models that this installation knows: the program's own and what an administrator added."""

from __future__ import annotations

from pathlib import Path

from core.settings.env import REPOSITORY, env
from models_local.catalog import Catalog, catalog_read


def added_catalog() -> Path:
    """Return where ``./cloister models add`` writes."""
    return env().home_path / "models.toml"


def model_catalog() -> Catalog:
    """Read both catalogs.

    Raises:
        CatalogError: One of them cannot be read or contradicts the other.
    """
    return catalog_read(REPOSITORY / "configs" / "models.toml", added=added_catalog())
