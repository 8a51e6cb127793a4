from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from core.settings.env import REPOSITORY


@pytest.fixture(scope="module")
def launcher() -> ModuleType:
    loader = SourceFileLoader("cloister_launcher", str(REPOSITORY / "cloister"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def build(name: str, *requires: str) -> dict[str, object]:
    return {"metadata": {"name": name, "version": "1", "requires_dist": list(requires)}}


class TestLauncher:
    @pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0), (["help"], 0)])
    def test_explains_itself_without_an_environment(self, arguments: list[str], code: int) -> None:
        ended = subprocess.run(
            [sys.executable, str(REPOSITORY / "cloister"), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert ended.returncode == code
        assert "demo" in ended.stderr
        assert ended.stdout == ""

    def test_uses_nothing_but_the_standard_library(self) -> None:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", str(REPOSITORY / "cloister"), "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert ended.returncode == 0, ended.stderr

    def test_reads_the_names_of_a_hashed_list(self, launcher: ModuleType) -> None:
        lock = "amqp==5.4.2 \\\n    --hash=sha256:00\nRuamel.Yaml_clib==1 ; extra \\\n    --hash=sha256:01\n"

        assert launcher.locked_names(lock) == ["amqp", "ruamel-yaml-clib"]

    def test_needs_nothing_beyond_the_list_for_a_cpu_build(self, launcher: ModuleType) -> None:
        found = [build("torch", "filelock", "sympy>=1.13.3", "opt-einsum>=3.3; extra == 'opt-einsum'")]

        assert launcher.beyond_the_list(found, ["filelock", "sympy"]) == []

    def test_finds_what_a_cuda_build_needs_beyond_the_list(self, launcher: ModuleType) -> None:
        nvidia = 'nvidia-cublas-cu12==12.8; platform_system == "Linux"'
        found = [build("torch", "filelock", nvidia, "triton==3.5"), build("torchvision", "torch==2.13.0", "numpy")]

        assert launcher.beyond_the_list(found, ["filelock", "numpy"]) == [nvidia, "triton==3.5"]

    def test_reads_from_pip_how_far_it_is(self, launcher: ModuleType) -> None:
        collecting = ["Collecting amqp==5.4.2 (from -r x)", "  Downloading amqp-5.4.2.whl (51 kB)"]

        assert launcher.pip_stage(collecting, 144) == "1 of 144, Downloading amqp-5.4.2.whl (51 kB)"
        assert launcher.pip_stage([*collecting, "Installing collected packages: amqp"], 144) == "writing files"

    def test_installs_again_when_the_list_changes(
        self, launcher: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(launcher, "LOCKS", tmp_path)
        (tmp_path / "embedded.txt").write_text("amqp==1\n")
        before = launcher.stamp_text("embedded")

        assert launcher.stamp_text("embedded") == before
        (tmp_path / "embedded.txt").write_text("amqp==2\n")
        assert launcher.stamp_text("embedded") != before


class TestLists:
    @pytest.mark.parametrize("name", ["embedded", "test"])
    def test_hold_a_hash_for_everything_and_no_place(self, launcher: ModuleType, name: str) -> None:
        text = (REPOSITORY / "configs" / "locks" / f"{name}.txt").read_text()
        entries = [entry for entry in text.replace("\\\n", " ").splitlines() if entry and not entry.startswith("#")]

        assert len(entries) == len(launcher.locked_names(text))
        assert all("--hash=sha256:" in entry for entry in entries)
        assert not any(
            word in text for word in ("://", "+cpu", "\nnvidia-cu", "\nnvidia-nccl", "\ntorch==", "llama-cpp-python")
        )

    def test_hold_every_library_that_the_project_asks_for(self, launcher: ModuleType) -> None:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
        names = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower().replace("_", "-") for line in asked}
        locked = set(launcher.locked_names((REPOSITORY / "configs" / "locks" / "test.txt").read_text()))

        assert names - locked == {"torch", "torchvision", "llama-cpp-python"}

    def test_agree_on_every_version(self) -> None:
        def versions(name: str) -> set[str]:
            lines = (REPOSITORY / "configs" / "locks" / f"{name}.txt").read_text().splitlines()
            return {line.rstrip(" \\") for line in lines if "==" in line and not line.startswith(" ")}

        assert versions("embedded") < versions("test")
