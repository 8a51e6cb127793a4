"""Takes a model that an administrator brought, as a folder, into the store and into a catalog of its own."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

from models_local.catalog import PICKLE_SUFFIXES, ModelEntry, ModelFile, catalog_read
from models_local.errors import CatalogError, DigestMismatch
from models_local.store import Progress, Store, file_digest, silent

_LEFT_OUT_SUFFIXES = {*PICKLE_SUFFIXES, ".py", ".pyc", ".so", ".msgpack", ".h5"}
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
"""Of a pickle, and of the zip archive that torch writes around one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was taken into the store.

    Attributes:
        model: Its entry.
        left_out: Files of the folder that stay outside: pickles, code, hidden files.
    """

    model: ModelEntry
    left_out: tuple[str, ...]


def model_add(
    store: Store,
    name: str,
    folder: Path,
    *,
    role: str,
    licence: str,
    attribution: str,
    catalog_file: Path,
    progress: Progress = silent,
) -> Added:
    """Copy a folder into the store and write its entry, with the digest of every file, to ``catalog_file``.

    A GGUF file is stored as ``model.gguf`` where the folder holds only one, since the engines look for that name.

    Raises:
        CatalogError: The name is taken or not a name, or the folder holds nothing that can be stored.
        ModelDamaged: Something else stands in the model's place.
    """
    if name in store.catalog.models:
        raise CatalogError(f"there is a model '{name}' already; choose another name")
    kept, left_out = _files(folder)
    if not kept:
        raise CatalogError(f"{folder} holds no file that can be stored (left out: {', '.join(left_out) or 'none'})")
    entries = tuple(
        ModelFile(path=path, sha256=file_digest(source), size_bytes=source.stat().st_size, members=(), recipe="given")
        for path, source in sorted(kept.items())
    )
    model = ModelEntry(name=name, role=role, licence=licence, attribution=attribution, source=(), files=entries)
    written = (catalog_file.read_text(encoding="utf-8") if catalog_file.is_file() else "") + _toml(model)
    partial = catalog_file.with_suffix(".partial")
    partial.write_text(written, encoding="utf-8")
    try:
        catalog_read(store.catalog.path, added=partial)  # refuses a bad name before anything is copied
        with store.changing(), store.arriving(model, progress) as target:
            for path, source in kept.items():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / path)
        partial.replace(catalog_file)
    finally:
        partial.unlink(missing_ok=True)
    return Added(model=model, left_out=left_out)


def entry_write(catalog_file: Path, model: ModelEntry) -> None:
    """Append a model's entry to the catalog of added models."""
    before = catalog_file.read_text(encoding="utf-8") if catalog_file.is_file() else ""
    catalog_file.write_text(before + _toml(model), encoding="utf-8")


def entry_forget(catalog_file: Path, name: str) -> None:
    """Take a model's entry out of the catalog of added models; the store is not touched."""
    rest = [model for model in catalog_read(catalog_file).models.values() if model.name != name]
    catalog_file.write_text("".join(map(_toml, rest)), encoding="utf-8")


def entry_of_manifest(manifest: dict[str, object]) -> ModelEntry:
    """Return the entry that an export of an added model says of itself.

    Raises:
        DigestMismatch: The manifest lacks something.
    """
    try:
        files = tuple(
            ModelFile(path=one["path"], sha256=one["sha256"], size_bytes=one["size_bytes"], members=(), recipe="given")
            for one in manifest["files"]  # type: ignore[attr-defined]
        )
        fields = {key: str(manifest[key]) for key in ("name", "role", "licence", "attribution")}
    except (KeyError, TypeError) as error:
        raise DigestMismatch(f"the export's manifest lacks {error}") from error
    return ModelEntry(**fields, source=(), files=files)


def _files(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    if not folder.is_dir():
        raise CatalogError(f"{folder} is no folder; give the folder that holds the model's files")
    kept: dict[str, Path] = {}
    left_out: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or any(part.startswith(".") for part in Path(name).parts):
            continue
        if path.suffix in _LEFT_OUT_SUFFIXES or _starts_as_pickle(path):
            left_out.append(name)
        else:
            kept[name] = path
    graphs = [name for name in kept if name.endswith(".gguf") and "mmproj" not in name]
    if len(graphs) == 1:
        kept["model.gguf"] = kept.pop(graphs[0])
    return kept, tuple(left_out)


def _starts_as_pickle(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4).startswith(_PICKLE_STARTS)


def _toml(model: ModelEntry) -> str:
    # A JSON string is a TOML basic string.
    head = [f"[models.{json.dumps(model.name)}]"]
    head += [f"{key} = {json.dumps(getattr(model, key))}" for key in ("role", "licence", "attribution")]
    files = (
        f"[[models.{json.dumps(model.name)}.files]]\npath = {json.dumps(file.path)}\n"
        f'sha256 = "{file.sha256}"\nsize_bytes = {file.size_bytes}\nrecipe = "given"'
        for file in model.files
    )
    return "\n\n".join(["\n".join(head), *files]) + "\n\n"
