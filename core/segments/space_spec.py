"""What the embedding spaces of this host's profile are, found without loading a model.

A space's digest covers its models' files (from the catalog), the engine's name and the recipe version. The recipe
version stands in the profile, because core loads no engine; the engine process compares it with the engine's own when
it loads and refuses to serve when they differ.
"""

from __future__ import annotations

import functools
import hashlib
import json

from core.segments.models import SpaceName
from core.segments.spaces import SpaceSpec
from core.settings.calibration import Floors, calibration
from core.settings.env import REPOSITORY
from core.settings.profile import Profile, ProfileError, RoleConfig, profile
from models_local.catalog import Catalog, catalog_read

_NO_FLOORS = Floors(text=0.0, image=0.0)


def space_spec(name: str, profile: Profile, catalog: Catalog) -> SpaceSpec:
    """Return the space that a profile's role embeds into.

    Raises:
        ProfileError: The profile has no such role, or does not say its recipe version and dimensions.
        ModelUnknown: The catalog does not list one of its models.
    """
    role = profile.roles.get(name)
    if role is None:
        raise ProfileError(f"profile '{profile.name}' has no role '{name}'; nothing embeds into that space")
    if not role.recipe_version or not role.dimensions:
        raise ProfileError(f"role '{name}' of profile '{profile.name}' needs recipe_version and dimensions")
    floors = calibration().floors.get(f"{name}.{role.engine}", _NO_FLOORS)
    return SpaceSpec(
        name=name,
        digest=_digest(role, catalog),
        dimensions=role.dimensions,
        floor_text=floors.text,
        floor_image=floors.image,
    )


@functools.cache
def space_specs() -> dict[str, SpaceSpec]:
    """Return the spaces of this host's profile by name."""
    catalog = catalog_read(REPOSITORY / "configs" / "models.toml")
    return {
        str(name): space_spec(str(name), profile(), catalog) for name in SpaceName.values if name in profile().roles
    }


def _digest(role: RoleConfig, catalog: Catalog) -> str:
    made_by = [[catalog.model(model).digest for model in role.models], role.engine, role.recipe_version]
    return hashlib.sha256(json.dumps(made_by, separators=(",", ":")).encode()).hexdigest()
