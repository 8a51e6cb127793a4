"""The store and its tar files: what is missing, damaged, foreign or removed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from models_local.errors import DigestMismatch, ModelDamaged, ModelMissing, ModelUnknown
from models_local.store import Store
from models_local.transfer import model_export, model_import

if TYPE_CHECKING:
    from .conftest import Shelf


class TestStore:
    def test_says_what_to_do_when_a_model_is_missing(self, shelf: Shelf) -> None:
        assert not shelf.store.present("joined")
        with pytest.raises(ModelMissing, match="models pull joined"):
            shelf.store.folder("joined")

    def test_does_not_take_a_cut_off_file_for_a_model(self, shelf: Shelf) -> None:
        shelf.pull("joined")
        (shelf.store.folder("joined") / "deep" / "model.bin").write_bytes(b"first half")

        assert not shelf.store.present("joined")
        with pytest.raises(ModelMissing, match="10 bytes, not 23"):
            shelf.store.folder("joined")

    def test_verify_finds_one_changed_byte(self, shelf: Shelf) -> None:
        shelf.pull("joined")
        (shelf.store.folder("joined") / "deep" / "model.bin").write_bytes(b"first half, second hulf")

        assert shelf.store.present("joined")
        with pytest.raises(ModelDamaged, match=r"deep/model\.bin"):
            shelf.store.verify("joined")

    def test_verify_finds_a_file_that_does_not_belong(self, shelf: Shelf) -> None:
        shelf.pull("joined")
        (shelf.store.folder("joined") / "extra.pkl").write_bytes(b"x")

        with pytest.raises(ModelDamaged, match=r"extra\.pkl"):
            shelf.store.verify("joined")

    def test_remove_frees_the_place_for_a_new_pull(self, shelf: Shelf) -> None:
        shelf.pull("joined")

        assert shelf.store.remove("joined") == 23
        assert [path.name for path in shelf.root.iterdir()] == [".lock"]
        assert shelf.pull("joined")

    def test_remove_refuses_what_is_not_there_or_not_a_model(self, shelf: Shelf) -> None:
        with pytest.raises(ModelMissing):
            shelf.store.remove("joined")
        with pytest.raises(ModelUnknown):
            shelf.store.remove("../wheels")


class TestTransfer:
    def test_carries_a_model_to_another_store(self, shelf: Shelf, tmp_path: Path) -> None:
        shelf.pull("joined")
        model_export(shelf.store, "joined", tmp_path / "joined.tar")
        other = Store(tmp_path / "other", shelf.store.catalog)

        name = model_import(other, tmp_path / "joined.tar")

        assert name == "joined"
        other.verify("joined")

    def test_writes_the_same_archive_twice(self, shelf: Shelf, tmp_path: Path) -> None:
        shelf.pull("joined")

        model_export(shelf.store, "joined", tmp_path / "a.tar")
        model_export(shelf.store, "joined", tmp_path / "b.tar")

        assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()

    def test_refuses_to_export_damaged_bytes(self, shelf: Shelf, tmp_path: Path) -> None:
        shelf.pull("joined")
        (shelf.store.folder("joined") / "deep" / "model.bin").write_bytes(b"first half, second hulf")

        with pytest.raises(ModelDamaged):
            model_export(shelf.store, "joined", tmp_path / "joined.tar")

        assert not (tmp_path / "joined.tar").exists()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda members: members.update({"files/deep/model.bin": b"first half, second hulf"}), "sha256"),
            (lambda members: members.update({"files/../../escape": b"x"}), "not a file of model"),
            (lambda members: members.pop("files/deep/model.bin"), "lacks deep/model.bin"),
            (lambda members: members.update({"manifest.json": b"{}"}), "another format"),
            (lambda members: members.update({"manifest.json": b"not json"}), "damaged manifest"),
            (lambda members: members.pop("manifest.json"), "does not begin with manifest.json"),
        ],
    )
    def test_refuses_a_changed_archive(
        self, shelf: Shelf, tmp_path: Path, change: Callable[[dict[str, bytes]], object], said: str
    ) -> None:
        shelf.pull("joined")
        model_export(shelf.store, "joined", tmp_path / "joined.tar")
        members = _unpacked(tmp_path / "joined.tar")
        change(members)
        _pack(tmp_path / "changed.tar", members)
        other = Store(tmp_path / "other", shelf.store.catalog)

        with pytest.raises(DigestMismatch, match=said):
            model_import(other, tmp_path / "changed.tar")

        assert not other.present("joined")
        assert not (tmp_path / "escape").exists()

    def test_refuses_a_model_of_another_digest(self, shelf: Shelf, tmp_path: Path) -> None:
        shelf.pull("joined")
        model_export(shelf.store, "joined", tmp_path / "joined.tar")
        members = _unpacked(tmp_path / "joined.tar")
        manifest = json.loads(members["manifest.json"])
        manifest["digest"] = "0" * 64
        _pack(tmp_path / "other.tar", {**members, "manifest.json": json.dumps(manifest).encode()})

        with pytest.raises(DigestMismatch, match="with digest 0000"):
            model_import(Store(tmp_path / "other", shelf.store.catalog), tmp_path / "other.tar")

    def test_refuses_what_is_no_archive(self, shelf: Shelf, tmp_path: Path) -> None:
        (tmp_path / "noise.tar").write_bytes(b"noise" * 500)

        with pytest.raises(DigestMismatch, match="not an exported model"):
            model_import(shelf.store, tmp_path / "noise.tar")


def _unpacked(archive: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream is not None
            contents[member.name] = stream.read()
    return contents


def _pack(archive: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(archive, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
