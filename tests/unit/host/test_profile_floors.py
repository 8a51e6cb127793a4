"""Every embedding engine that a profile names has calibrated floors: without, each text question gets a picture."""

from __future__ import annotations

import pytest

from core.segments.space_spec import SPACE_OF_ROLE
from core.settings.calibration import calibration
from core.settings.profile import profile_read


@pytest.mark.parametrize("name", ["embedded", "workstation", "datacenter"])
def test_every_embedding_engine_has_floors(name):
    roles = profile_read(name).roles
    embedding = {f"{SPACE_OF_ROLE[role].value}.{roles[role].engine}" for role in roles if role in SPACE_OF_ROLE}

    assert embedding
    assert embedding <= set(calibration().floors)
