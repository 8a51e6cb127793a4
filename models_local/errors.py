"""Every error that models_local raises.

ModelsError
├── CatalogError     the catalog is not what it should be
├── ModelUnknown     the catalog lists no such model
├── ModelMissing     the store does not hold the model
├── ModelDamaged     the store's bytes differ from the catalog
├── FetchFailed      the source did not deliver
└── DigestMismatch   fetched or imported bytes differ from the catalog; nothing was kept
"""

from __future__ import annotations


class ModelsError(Exception):
    """Base of all errors of this package."""


class CatalogError(ModelsError):
    """The catalog has a field that is not known, lacks one, or contradicts itself."""


class ModelUnknown(ModelsError):
    """The catalog lists no model of that name."""


class ModelMissing(ModelsError):
    """The store does not hold the model."""


class ModelDamaged(ModelsError):
    """Files in the store differ from the catalog."""


class FetchFailed(ModelsError):
    """The source of a model did not deliver it."""


class DigestMismatch(ModelsError):
    """Bytes that were fetched or imported differ from the catalog; nothing was kept."""
