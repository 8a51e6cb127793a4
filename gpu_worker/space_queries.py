"""Which engine of this host speaks for a space, and queries embedded by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np

from core.segments.service import space_active
from core.segments.space_spec import role_of, space_specs
from gpu_worker import services
from inference.errors import EngineUnavailable
from inference.values import Vectors

DEADLINE_S = 60.0
TEXTS_PER_CALL = 256


def role_serving(name: str) -> str:
    """Return the role of this host that embeds into the active space of a name; before there is one, the name itself.

    Raises:
        EngineUnavailable: No role of this host does.
    """
    specs = space_specs()
    active = space_active(name)
    role = role_of(active.digest, specs) if active is not None else name
    if role is None or role not in specs:
        made_by = f" was made by {active.recipe or active.digest[:12]}, which" if active is not None else ""
        raise EngineUnavailable(
            f"the space '{name}'{made_by} no role of this host's profile serves; "
            "switch to another space with './cloister spaces switch' or change the profile"
        )
    return role


def space_queries_embed(*, digest: str, texts: Sequence[str]) -> Vectors:
    """Embed queries into the space of a digest.

    Raises:
        EngineUnavailable: No role of this host embeds into it.
    """
    role = role_of(digest, space_specs())
    if role is None:
        raise EngineUnavailable(f"no role of this host's profile embeds into the space {digest[:12]}")
    with services.engines().lease(
        role=cast(Literal["text"], role), priority="interactive", deadline_s=DEADLINE_S
    ) as engine:
        return np.concatenate(
            [
                engine.embed_texts(texts[start : start + TEXTS_PER_CALL])
                for start in range(0, len(texts), TEXTS_PER_CALL)
            ]
        )
