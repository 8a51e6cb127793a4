"""The licence inventory of all models of the catalog."""

from __future__ import annotations

import dataclasses

from models_local.catalog import Catalog


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LicenceLine:
    """One model, its licence, where it comes from, and which of its files are licence texts."""

    model: str
    licence: str
    attribution: str
    packages: tuple[str, ...]
    texts: tuple[str, ...]


def licences(catalog: Catalog) -> tuple[LicenceLine, ...]:
    """Return one line per model, sorted by name."""
    return tuple(
        LicenceLine(
            model=model.name,
            licence=model.licence,
            attribution=model.attribution,
            packages=tuple(f"{package.name}=={package.version}" for package in model.source),
            texts=tuple(file.path for file in model.files if "LICENSE" in file.path.upper()),
        )
        for model in sorted(catalog.models.values(), key=lambda model: model.name)
    )
