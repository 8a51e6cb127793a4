"""The models of this host under the names that clients use for them."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.api.openai.errors import RequestRefused
from core.settings.model_catalog import model_catalog
from core.settings.profile import Profile, profile

SERVED_ROLES = ("language", "vision", "text", "image_text", "speech", "reranker")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model that a caller may name.

    Attributes:
        id: The catalog's name of its main model; the engine's name where several roles share that model.
        role: The role it serves; accepted as a name too, so that a configuration outlives a change of models.
        fingerprint: Of the model files: the same fingerprint, seed and request give the same text.
    """

    id: str
    role: str
    fingerprint: str

    def as_json(self) -> dict[str, Any]:
        """Return the form of OpenAI's model list, with the role."""
        return {"id": self.id, "object": "model", "created": 0, "owned_by": "cloister", "role": self.role}


def served_models(of: Profile) -> tuple[ServedModel, ...]:
    """Return what a profile serves."""
    configs = [of.roles[role] for role in SERVED_ROLES if role in of.roles]
    shared = Counter(config.models[0] for config in configs)
    return tuple(
        ServedModel(
            id=config.models[0] if shared[config.models[0]] == 1 else config.engine,
            role=config.role,
            fingerprint=_fingerprint(config.models[0]),
        )
        for config in configs
    )


@functools.cache
def _served() -> tuple[ServedModel, ...]:
    return served_models(profile())


def models_listed() -> tuple[ServedModel, ...]:
    """Return the models of this host."""
    return _served()


def model_named(name: object, *, roles: Sequence[str] = SERVED_ROLES, param: str = "model") -> ServedModel:
    """Return the model of a name that can do what is asked for.

    Raises:
        RequestRefused: 404 for an unknown name, with the list of what is there; 400 for one of another kind.
    """
    if not isinstance(name, str) or not name:
        raise RequestRefused(f"{param} names the model; here are {_names(_served())}", param=param)
    fitting = [one for one in _served() if one.role in roles]
    for one in fitting:
        if name in (one.id, one.role):
            return one
    if any(name in (one.id, one.role) for one in _served()):
        raise RequestRefused(
            f"the model '{name}' cannot do this; those that can: {_names(fitting) or 'none of this profile'}",
            param=param,
            code="model_not_suitable",
        )
    kinds = " or ".join(roles)
    known = _names(fitting) or f"none: this profile has no role {kinds}"
    raise RequestRefused(
        f"there is no model '{name}' here; for this request there are: {known}",
        param=param,
        code="model_not_found",
        status=404,
    )


def _names(models: Sequence[ServedModel]) -> str:
    return ", ".join(one.id for one in models)


@functools.cache
def _fingerprint(model: str) -> str:
    catalog = model_catalog()
    return f"fp_{catalog.model(model).digest[:12]}"
