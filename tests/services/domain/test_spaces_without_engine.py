from __future__ import annotations

import pytest

from core.cli.management.commands.up import spaces_without_engine
from core.segments.service import space_activate, space_create, spaces_ensure
from core.segments.space_spec import space_specs

pytestmark = pytest.mark.services


def test_a_space_of_models_that_are_gone_is_named_with_what_to_do():
    former = space_create(name="text", digest="f" * 64, dimensions=12)
    space_activate(space_id=former.pk)
    spaces_ensure(specs=list(space_specs().values()))
    digest = space_specs()["text"].digest[:12]

    (note,) = spaces_without_engine()

    assert f"spaces fill {digest}" in note
    assert f"spaces switch {digest}" in note


def test_the_spaces_of_the_profile_need_no_note():
    spaces_ensure(specs=list(space_specs().values()))

    assert spaces_without_engine() == []
