"""How documents are cut into steps, and in which order their results are read back."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from core.documents.models import Part
from core.jobs.models import Step, StepState
from core.segments.space_spec import space_spec
from core.settings.env import REPOSITORY
from core.settings.profile import ProfileError, profile_read
from gpu_worker.material import Material
from gpu_worker.steps.probe import parse_plans
from inference.values import SourceInfo
from models_local.catalog import catalog_read

PART = Part(id=uuid.UUID(int=1), ordinal=2, name="any")


def info(family: str, extension: str, *, units: int = 1, duration_s: float | None = None) -> SourceInfo:
    return SourceInfo(
        media_type="application/octet-stream", family=family, extension=extension, units=units, duration_s=duration_s
    )


class TestParsePlans:
    def test_cut_a_pdf_into_ranges_of_eight_pages(self) -> None:
        plans = parse_plans(PART, info("pdf", "pdf", units=17))

        ranges = [(plan.key, plan.parameters["first_unit"], plan.parameters["last_unit"]) for plan in plans]
        assert ranges == [("2:0", 1, 8), ("2:1", 9, 16), ("2:2", 17, 17)]

    def test_cut_a_long_recording_into_windows_and_leave_the_last_open(self) -> None:
        plans = parse_plans(PART, info("audio", "mp3", duration_s=1250.0))

        windows = [(plan.parameters["start_s"], plan.parameters["end_s"]) for plan in plans]
        assert windows == [(0.0, 600.0), (600.0, 1200.0), (1200.0, None)]

    @pytest.mark.parametrize(
        "whole", [info("office", "docx"), info("video", "mp4", duration_s=30.0), info("image", "png")]
    )
    def test_leave_everything_else_whole(self, whole: SourceInfo) -> None:
        (plan,) = parse_plans(PART, whole)

        assert plan.key == "2:0"
        assert plan.stage == 1


class TestMaterial:
    def test_reads_ranges_in_the_order_of_their_numbers(self) -> None:
        keys = ["0:10", "1:0", "0:9", "0:2"]
        steps = [Step(kind="speech", key=key, stage=2, state=StepState.DONE, result={"key": key}) for key in keys]

        assert [key for key, _ in Material(steps).results("speech")] == ["0:2", "0:9", "0:10", "1:0"]


class TestSpaceSpec:
    def test_has_another_digest_for_another_recipe_engine_or_model(self) -> None:
        catalog = catalog_read(REPOSITORY / "configs" / "models.toml")
        profile = profile_read("embedded")
        role = profile.roles["text"]

        def digest(**changes: object) -> str:
            changed = dataclasses.replace(role, **changes)  # type: ignore[arg-type]
            return space_spec("text", dataclasses.replace(profile, roles={"text": changed}), catalog).digest

        digests = [
            digest(),
            digest(recipe_version="another"),
            digest(engine="fake_text"),
            digest(models=("smollm2-135m-instruct",)),
        ]
        assert len(set(digests)) == len(digests)
        assert digest(threads=7) == digests[0]

    def test_refuses_a_role_that_does_not_say_its_recipe(self) -> None:
        catalog = catalog_read(REPOSITORY / "configs" / "models.toml")
        profile = profile_read("embedded")
        silent = dataclasses.replace(profile.roles["text"], recipe_version="")

        with pytest.raises(ProfileError, match="recipe_version"):
            space_spec("text", dataclasses.replace(profile, roles={"text": silent}), catalog)
