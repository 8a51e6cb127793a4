"""The ``models`` command on an empty store of its own: JSON on stdout, sentences and a failing status on errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOISTER_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("CLOISTER_HOME", str(tmp_path / "home"))
    return tmp_path / "store"


def models(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "manage.py"), "models", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)


class TestModelsCommand:
    def test_lists_every_model_as_missing(self) -> None:
        ended = models("list", "--json")

        rows = json.loads(ended.stdout)
        assert ended.returncode == 0, ended.stderr
        assert {row["state"] for row in rows} == {"missing"}
        assert {"whisper-base", "smollm2-135m-instruct"} <= {row["name"] for row in rows}

    def test_names_the_licence_of_every_model(self) -> None:
        rows = json.loads(models("licences", "--json").stdout)

        assert {row["licence"] for row in rows} == {"MIT", "Apache-2.0"}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("pull", "no-such-model"), "there is no model 'no-such-model'"),
            (("verify", "whisper-base"), "models pull whisper-base"),
            (("remove", "whisper-base"), "is not in"),
            (("export", "whisper-base", "out.tar"), "models pull whisper-base"),
            (("import", "no-such-file.tar"), "no-such-file.tar"),
        ],
    )
    def test_fails_with_a_sentence(self, arguments: tuple[str, ...], said: str) -> None:
        ended = models(*arguments)

        assert ended.returncode == 1
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
