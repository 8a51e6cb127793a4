"""Which profiles there are, what a wrong one is refused for, and whether each fits a host."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from core.host.devices import Device, Devices
from core.host.finding import Finding
from core.host.fitness import fitness, problems
from core.host.peaks import Peak, PeakStore, peak_key
from core.settings.env import REPOSITORY, env, environment_set
from core.settings.profile import Profile, ProfileError, RoleConfig, profile_read, profiles_known
from models_local.catalog import catalog_read
from models_local.store import Store

CATALOG = catalog_read(REPOSITORY / "configs" / "models.toml")
CPU = Device(name="cpu", product="16 processors", total_mib=300_000, free_mib=290_000)
SPEECH = RoleConfig(role="speech", engine="faster_whisper", models=("whisper-base",), device="cuda:0")
PROFILE = Profile(
    name="small",
    memory_budget_mib=4000,
    bulk_concurrency=1,
    interactive_concurrency=1,
    roles={"speech": SPEECH},
    device_budgets_mib={"cuda:0": 8000},
)


def gpus(count: int, total_mib: int = 24_000) -> Devices:
    cards = [
        Device(name=f"cuda:{n}", product="a card", total_mib=total_mib, free_mib=total_mib - 500, uuid=f"GPU-{n}")
        for n in range(count)
    ]
    return Devices(found=(CPU, *cards), driver="580.1")


def look(profile: Profile, devices: Devices, folder: Path, *, weights: Path, peak: Peak | None = None) -> list[Finding]:
    peaks = PeakStore(folder / "own.json", folder / "shipped.json")
    if peak is not None:
        for place in profile.places():
            peaks.observe(peak_key(place, CATALOG), peak)
    return fitness(profile, devices=devices, store=Store(weights, CATALOG), peaks=peaks)


@pytest.fixture
def models_anywhere(tmp_path: Path) -> Path:
    """A store in which every file of the catalog has its size, and no content."""
    for model in CATALOG.models.values():
        for file in model.files:
            path = tmp_path / "weights" / model.name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as sparse:
                sparse.truncate(file.size_bytes)
    return tmp_path / "weights"


class TestProfiles:
    @pytest.mark.parametrize("name", ["embedded", "workstation", "datacenter"])
    def test_name_known_models_and_devices_with_a_budget(self, name: str) -> None:
        profile = profile_read(name)

        assert name in profiles_known()
        assert all(CATALOG.model(model) for place in profile.places() for model in place.models)
        assert {place.device for place in profile.places()} <= set(profile.budgets_mib())

    @pytest.mark.parametrize("name", ["workstation", "datacenter"])
    def test_serve_the_roles_and_spaces_of_the_embedded_one(self, name: str) -> None:
        embedded, other = profile_read("embedded"), profile_read(name)

        assert set(embedded.roles) <= set(other.roles)
        for role, config in embedded.roles.items():
            assert (other.roles[role].recipe_version, other.roles[role].dimensions) == (
                config.recipe_version,
                config.dimensions,
            )

    def test_of_the_administrator_go_first(self, tmp_path: Path) -> None:
        before = env().home
        own = (REPOSITORY / "configs" / "profiles" / "embedded.toml").read_text()
        (tmp_path / "profiles").mkdir()
        (tmp_path / "profiles" / "embedded.toml").write_text(
            own.replace("memory_budget_mib = ", "memory_budget_mib = 1")
        )
        (tmp_path / "profiles" / "ours.toml").write_text(own)
        environment_set(CLOISTER_HOME=str(tmp_path))
        try:
            assert profile_read("embedded").memory_budget_mib > 10_000
            assert "ours" in profiles_known()
        finally:
            environment_set(CLOISTER_HOME=str(before))

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('device = "gpu"', "'gpu' is neither 'cpu' nor 'cuda:N'"),
            ('device = "cuda:3"', "device 'cuda:3' has no budget"),
            ("max_batch_itms = 3", "max_batch_itms"),
        ],
    )
    def test_with_a_mistake_are_refused_with_its_place(self, tmp_path: Path, line: str, message: str) -> None:
        before = env().home
        (tmp_path / "profiles").mkdir()
        (tmp_path / "profiles" / "wrong.toml").write_text(
            "memory_budget_mib = 1000\nbulk_concurrency = 1\ninteractive_concurrency = 1\n"
            f'[roles.ocr]\nengine = "rapidocr"\nmodels = []\n{line}\n'
        )
        environment_set(CLOISTER_HOME=str(tmp_path))
        try:
            with pytest.raises(ProfileError, match=message):
                profile_read("wrong")
        finally:
            environment_set(CLOISTER_HOME=str(before))


class TestFitness:
    def test_finds_nothing_wrong_where_all_fits(self, tmp_path: Path, models_anywhere: Path) -> None:
        findings = look(PROFILE, gpus(1), tmp_path, peak=Peak(mib=900, device_mib=1200), weights=models_anywhere)

        assert not problems(findings)
        (role,) = [one for one in findings if one.name == "role speech"]
        assert role.found == "faster_whisper on cuda:0, whisper-base; 1200 MiB measured of 8000"

    def test_names_every_role_whose_device_is_not_there(self, tmp_path: Path, models_anywhere: Path) -> None:
        found = {one.name: one for one in look(PROFILE, Devices(found=(CPU,)), tmp_path, weights=models_anywhere)}

        assert found["gpu"].verdict == "problem"
        assert found["budget cuda:0"].verdict == "problem"
        assert "no such device" in found["role speech"].found

    def test_names_what_was_measured_larger_than_its_budget(self, tmp_path: Path, models_anywhere: Path) -> None:
        findings = look(PROFILE, gpus(1), tmp_path, peak=Peak(mib=900, device_mib=9000), weights=models_anywhere)

        assert [one.found for one in problems(findings)] == [
            "faster_whisper on cuda:0, whisper-base; 9000 MiB measured of 8000"
        ]

    def test_names_a_budget_larger_than_its_device(self, tmp_path: Path, models_anywhere: Path) -> None:
        findings = look(PROFILE, gpus(1, total_mib=6000), tmp_path, weights=models_anywhere)

        assert [one.name for one in problems(findings)] == ["budget cuda:0"]

    def test_names_a_missing_model_with_the_command_that_brings_it(self, tmp_path: Path) -> None:
        findings = look(PROFILE, gpus(1), tmp_path, weights=tmp_path)

        (missing,) = problems(findings)
        assert "models pull whisper-base" in missing.advice

    def test_names_a_model_that_the_catalog_lacks(self, tmp_path: Path) -> None:
        roles = {"speech": dataclasses.replace(SPEECH, models=("whisper-of-ours",))}

        findings = look(dataclasses.replace(PROFILE, roles=roles), gpus(1), tmp_path, weights=tmp_path)

        assert ["'whisper-of-ours' is not in configs/models.toml" in one.found for one in problems(findings)] == [True]

    def test_reports_a_broken_driver_only_as_a_note_where_no_role_needs_it(
        self, tmp_path: Path, models_anywhere: Path
    ) -> None:
        broken = Devices(found=(CPU,), problem="NVIDIA's driver is installed but does not answer: version mismatch")
        on_cpu = dataclasses.replace(
            PROFILE, roles={"speech": dataclasses.replace(SPEECH, device="cpu")}, device_budgets_mib={}
        )

        with_gpu = {one.name: one.verdict for one in look(PROFILE, broken, tmp_path, weights=models_anywhere)}
        without = {one.name: one.verdict for one in look(on_cpu, broken, tmp_path, weights=models_anywhere)}

        assert (with_gpu["gpu"], without["gpu"]) == ("problem", "note")

    @pytest.mark.parametrize(("name", "devices"), [("workstation", gpus(1)), ("datacenter", gpus(8, 81_000))])
    def test_of_the_shipped_profiles_on_the_hosts_they_are_made_for(
        self, tmp_path: Path, models_anywhere: Path, name: str, devices: Devices
    ) -> None:
        assert not problems(look(profile_read(name), devices, tmp_path, weights=models_anywhere))
        assert problems(look(profile_read(name), gpus(0), tmp_path, weights=models_anywhere))
