"""The catalog: what it refuses, and what the committed one says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.settings.profile import profile_read
from models_local.catalog import catalog_read
from models_local.errors import CatalogError, ModelUnknown
from models_local.licence import licences

if TYPE_CHECKING:
    from .conftest import Shelf

REPOSITORY = Path(__file__).resolve().parents[3]
EMBEDDED = REPOSITORY / "configs" / "models.toml"


class TestCatalog:
    def test_reads_every_field(self, shelf: Shelf) -> None:
        model = shelf.store.catalog.model("joined")

        assert (model.role, model.licence, model.source[0].version) == ("text", "MIT", "1.0")
        assert [member.path for member in model.files[0].members] == ["tiny_model/one", "tiny_model/two"]
        assert model.size_bytes == 23

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('role = "text"', 'role = "text"\nspeed = 3', "unknown field speed"),
            ('recipe = "join"', 'recipe = "join"\nmirror = "x"', "unknown field mirror"),
            ('version = "1.0"', 'version = "1.0"\nurl = "x"', "unknown field url"),
            ('licence = "MIT"\n', "", "lacks licence"),
            ('version = "1.0"', "version = 1", "version must be str"),
            ("deep/model.bin", "../model.bin", "leaves the folder"),
            ("deep/model.bin", "/model.bin", "leaves the folder"),
            ("deep/model.bin", "model.pt", "no pickled weights"),
            ('recipe = "join"', 'recipe = "copy"', "does not go with 2 source files"),
            ('recipe = "join"', 'recipe = "run"', "none of copy, join, safetensors"),
            ("tiny-model:tiny_model/one", "other:tiny_model/one", "not PACKAGE:PATH"),
            ('tensors_key = "state"', 'tensors_key = "state"\n[extra]\na = 1', "unknown field extra"),
        ],
    )
    def test_refuses_what_it_does_not_know(self, shelf: Shelf, old: str, new: str, said: str) -> None:
        shelf.catalog_edit(old, new)

        with pytest.raises(CatalogError, match=said):
            catalog_read(shelf.catalog)

    def test_names_the_known_models_when_asked_for_another(self, shelf: Shelf) -> None:
        with pytest.raises(ModelUnknown, match="joined"):
            shelf.store.catalog.model("absent")

    def test_digest_follows_the_bytes_and_nothing_else(self, shelf: Shelf) -> None:
        before = shelf.store.catalog.model("joined").digest

        shelf.catalog_edit('role = "text"', 'role = "language"')
        same = shelf.store.catalog.model("joined").digest
        shelf.catalog_edit(shelf.store.catalog.model("joined").files[0].sha256, "0" * 64)
        other = shelf.store.catalog.model("joined").digest

        assert before == same
        assert before != other


class TestEmbeddedCatalog:
    def test_lists_every_model_of_the_embedded_profile(self) -> None:
        wanted = {name for role in profile_read("embedded").roles.values() for name in role.models}

        assert wanted <= set(catalog_read(EMBEDDED).models)

    def test_gives_every_model_a_free_licence_and_an_origin(self) -> None:
        lines = licences(catalog_read(EMBEDDED))

        assert {line.licence for line in lines} == {"MIT", "Apache-2.0"}
        assert all(" by " in line.attribution and line.packages for line in lines)

    def test_has_one_name_for_each_tensor_of_the_picture_backbone(self) -> None:
        file = next(f for f in catalog_read(EMBEDDED).model("efficientnet-lite0").files if f.recipe == "safetensors")
        assert file.tensor_names is not None

        names = file.tensor_names.read_text().split()

        assert len(names) == len(set(names)) == 296
        assert names[0] == "conv_stem.weight"
        assert names[-1] == "classifier.bias"
