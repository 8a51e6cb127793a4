"""What the embedding spaces of this host's profile are, found without loading a model.

A space's digest covers its models' files (from the catalog), the engine's name and the recipe version. The recipe
version stands in the profile, because core loads no engine; the engine process compares it with the engine's own when
it loads and refuses to serve when they differ.

A profile serves each kind of space with one role, and with a second one (``text_next``, ``image_text_next``) while a
new model's space is built beside the old: both embed what is ingested, and the maker of the active space the queries.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping

from core.segments.models import SpaceName
from core.segments.spaces import SpaceSpec
from core.settings.calibration import Floors, calibration
from core.settings.model_catalog import model_catalog
from core.settings.profile import Profile, ProfileError, RoleConfig, profile
from models_local.catalog import Catalog

RECIPE_LETTERS = 200

_NO_FLOORS = Floors(text=0.0, image=0.0)


SPACE_OF_ROLE = {
    "text": SpaceName.TEXT,
    "text_next": SpaceName.TEXT,
    "image_text": SpaceName.IMAGE_TEXT,
    "image_text_next": SpaceName.IMAGE_TEXT,
}
"""The roles that embed for search, and the kind of space that each embeds into."""


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
    floors = calibration().floors.get(f"{SPACE_OF_ROLE[name].value}.{role.engine}", _NO_FLOORS)
    return SpaceSpec(
        name=str(SPACE_OF_ROLE[name]),
        digest=_digest(role, catalog),
        dimensions=role.dimensions,
        floor_text=floors.text,
        floor_image=floors.image,
        recipe=f"{role.engine} {role.recipe_version}: {', '.join(role.models) or 'no models'}"[:RECIPE_LETTERS],
    )


@functools.cache
def space_specs() -> dict[str, SpaceSpec]:
    """Return the spaces of this host's profile by the role that embeds into them."""
    return specs_of(profile(), model_catalog())


def specs_of(profile: Profile, catalog: Catalog) -> dict[str, SpaceSpec]:
    """Return the spaces of a profile by the role that embeds into them."""
    return {role: space_spec(role, profile, catalog) for role in SPACE_OF_ROLE if role in profile.roles}


def role_of(digest: str, specs: Mapping[str, SpaceSpec]) -> str | None:
    """Return the role that embeds into the space of a digest; None where no role of this host does."""
    return next((role for role, spec in specs.items() if spec.digest == digest), None)


def _digest(role: RoleConfig, catalog: Catalog) -> str:
    made_by = [[catalog.model(model).digest for model in role.models], role.engine, role.recipe_version]
    return hashlib.sha256(json.dumps(made_by, separators=(",", ":")).encode()).hexdigest()
