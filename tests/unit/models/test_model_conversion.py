"""The conversion child: no code of a checkpoint runs, no way out, the same bytes every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models_local import conversion


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.target),))


def convert(source: Path, target: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(Path(conversion.__file__)), str(source), str(target), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class TestConversion:
    def test_gives_the_same_bytes_for_the_same_tensors(self, tmp_path: Path) -> None:
        source = tmp_path / "a.pt"
        torch.save({"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.int64)}, source)

        ended = [convert(source, tmp_path / name) for name in ("one", "two")]

        assert [process.returncode for process in ended] == [0, 0]
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()

    def test_runs_no_code_of_the_checkpoint(self, tmp_path: Path) -> None:
        source = tmp_path / "bomb.pt"
        torch.save({"a": Bomb(tmp_path / "exploded")}, source)

        ended = convert(source, tmp_path / "out")

        assert ended.returncode != 0
        assert "weights_only" in ended.stderr.lower() or "Weights only" in ended.stderr
        assert not (tmp_path / "exploded").exists()
        assert not (tmp_path / "out").exists()

    def test_refuses_what_is_not_tensors(self, tmp_path: Path) -> None:
        source = tmp_path / "a.pt"
        torch.save({"a": torch.ones(1), "step": 3}, source)

        ended = convert(source, tmp_path / "out")

        assert "not a dictionary of tensors" in ended.stderr

    @pytest.mark.parametrize("attempt", ["socket.create_connection(('127.0.0.1', 9))", "os.system('true')"])
    def test_refuses_to_reach_outside(self, attempt: str) -> None:
        code = f"import os, socket, sys; from models_local import conversion as c; c.refuse_outside(); {attempt}"

        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

        assert "PermissionError: a checkpoint's conversion may not do" in ended.stderr
