"""A model that an administrator brings: its digests are taken, pickles and code stay outside, it travels by export."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


def models(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "manage.py"), "models", *arguments]
    environment = {"CLOISTER_WEIGHTS": str(place / "store"), "CLOISTER_HOME": str(place / "home"), "PATH": "/usr/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment)


def add(place: Path, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    about = ["--role", "vision", "--licence", "Apache-2.0", "--attribution", 'a "test"', "--json"]
    return models(place, "add", name, str(folder), *about)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "brought"
    (made / "1_Pooling").mkdir(parents=True)
    (made / ".git").mkdir()
    (made / "config.json").write_text("{}")
    (made / "1_Pooling" / "config.json").write_text("{}")
    (made / "small-Q4.gguf").write_bytes(b"GGUF weights")
    (made / "mmproj-small.gguf").write_bytes(b"GGUF eyes")
    (made / "modeling_small.py").write_text("print('code')")
    (made / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    (made / ".git" / "config").write_text("hidden")
    return made


def test_an_added_model_is_listed_verified_and_forgotten_again(tmp_path: Path, folder: Path) -> None:
    (row,) = json.loads(add(tmp_path, "small-vision", folder).stdout)
    listed = {one["name"]: one for one in json.loads(models(tmp_path, "list", "--json").stdout)}

    assert row["left_out"] == ["modeling_small.py", "pytorch_model.bin"]
    assert listed["small-vision"]["state"] == "present"
    assert listed["small-vision"]["digest"] == row["digest"]
    stored = sorted(p.relative_to(tmp_path / "store") for p in (tmp_path / "store" / "small-vision").rglob("*.*"))
    assert [str(path.relative_to("small-vision")) for path in stored] == [
        "1_Pooling/config.json",
        "config.json",
        "mmproj-small.gguf",
        "model.gguf",
    ]
    assert models(tmp_path, "verify", "small-vision").returncode == 0

    (tmp_path / "store" / "small-vision" / "config.json").write_text("[]")
    assert "sha256" in models(tmp_path, "verify", "small-vision").stderr

    assert models(tmp_path, "remove", "small-vision").returncode == 0
    assert "small-vision" not in models(tmp_path, "list", "--json").stdout


def test_an_added_model_travels_to_another_machine(tmp_path: Path, folder: Path) -> None:
    there = tmp_path / "there"
    (there / "home").mkdir(parents=True)
    (row,) = json.loads(add(tmp_path, "small-vision", folder).stdout)
    archive = str(tmp_path / "small.tar")
    assert models(tmp_path, "export", "small-vision", archive).returncode == 0

    assert "no model 'small-vision'" in models(there, "import", archive).stderr
    assert models(there, "import", archive, "--added").returncode == 0

    listed = {one["name"]: one for one in json.loads(models(there, "list", "--json").stdout)}
    assert (listed["small-vision"]["state"], listed["small-vision"]["digest"]) == ("present", row["digest"])


@pytest.mark.parametrize(
    ("name", "said"),
    [("whisper-base", "already"), ("Small Vision", "lower-case"), ("../escape", "lower-case")],
)
def test_a_name_that_cannot_be_used_is_refused_before_anything_is_copied(
    tmp_path: Path, folder: Path, name: str, said: str
) -> None:
    ended = add(tmp_path, name, folder)

    assert ended.returncode == 1
    assert said in ended.stderr
    assert not (tmp_path / "home" / "models.toml").exists()
    assert not list((tmp_path / "store").glob("*/config.json"))


def test_an_added_model_cannot_be_pulled(tmp_path: Path, folder: Path) -> None:
    add(tmp_path, "small-vision", folder)
    (tmp_path / "store" / "small-vision" / "config.json").unlink()

    assert "models import" in models(tmp_path, "pull", "small-vision").stderr


def test_a_folder_without_anything_to_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "holds no file" in add(tmp_path, "nothing", tmp_path / "empty").stderr
