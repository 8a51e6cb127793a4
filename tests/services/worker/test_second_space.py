"""Documents that are read while a new space is built, or after one was dropped."""

from __future__ import annotations

import pytest

from core.jobs.models import Step
from core.segments.service import space_create, spaces_ensure
from core.segments.space_spec import space_specs
from gpu_worker.context import StepContext
from gpu_worker.engine_pool import EnginePool
from gpu_worker.space_queries import role_serving
from gpu_worker.steps.embed import embed, space_of
from inference.errors import EngineUnavailable
from inference.sandbox import SandboxPool

pytestmark = pytest.mark.services


@pytest.fixture
def context(tmp_path) -> StepContext:
    def no_sandbox(owner: str):
        raise AssertionError("embedding reads no file of a user")

    return StepContext(
        step=Step(kind="embed", key="text:0", stage=5, parameters={"space": "text", "ordinals": [0]}),
        engines=EnginePool(tmp_path / "nobody.sock"),
        sandboxes=SandboxPool(1, no_sandbox),
    )


class TestEmbedStep:
    def test_leaves_out_a_space_that_was_dropped(self, clean_database, context):
        other = space_create(name="text", digest="c" * 64, dimensions=8)
        other.active = True
        other.save()

        assert embed(context).result["space_id"] is None

    def test_fails_where_no_space_was_made(self, clean_database, context):
        with pytest.raises(EngineUnavailable, match="does not exist"):
            embed(context)

    def test_embeds_into_the_space_of_its_role(self, clean_database):
        [space] = spaces_ensure(specs=[space_specs()["text"]])

        assert space_of("text") == space


class TestServingRole:
    def test_is_that_which_made_the_active_space(self, clean_database):
        assert role_serving("text") == "text"
        spaces_ensure(specs=[space_specs()["text"]])
        assert role_serving("text") == "text"

    def test_is_none_for_a_space_of_other_models(self, clean_database):
        other = space_create(name="text", digest="c" * 64, dimensions=8, recipe="of another host")
        other.active = True
        other.save()

        with pytest.raises(EngineUnavailable, match="of another host"):
            role_serving("text")
