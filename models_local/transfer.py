"""Carries a model between machines without a network: one tar file with a manifest, the same bytes every time."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from models_local.catalog import ModelEntry
from models_local.errors import DigestMismatch
from models_local.store import Progress, Store, silent

MANIFEST = "manifest.json"
_FORMAT = 1
_MANIFEST_LIMIT_BYTES = 1 << 20


def model_export(store: Store, name: str, target: Path, *, progress: Progress = silent) -> None:
    """Write a verified model as a tar file; the file appears complete or not at all.

    Raises:
        ModelMissing: The store does not hold it.
        ModelDamaged: Its bytes differ from the catalog.
    """
    store.verify(name, progress)
    model = store.catalog.model(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as partial:
        try:
            _tar_write(model, store.folder(name), Path(partial.name), progress)
            Path(partial.name).replace(target)
        finally:
            Path(partial.name).unlink(missing_ok=True)


def model_import(store: Store, archive: Path, *, progress: Progress = silent) -> str:
    """Bring a model from a tar file into the store; the catalog, not the archive, decides what is right.

    Returns:
        The model's name.

    Raises:
        DigestMismatch: It is no such tar file, or differs from the catalog; nothing was kept.
        ModelUnknown: The catalog lists no such model.
        ModelDamaged: Something else stands in the model's place.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            manifest = _manifest_read(tar, archive)
            model = store.catalog.model(manifest["name"])
            if manifest["digest"] != model.digest:
                raise DigestMismatch(
                    f"{archive.name} holds '{model.name}' with digest {manifest['digest']}, "
                    f"the catalog says {model.digest}"
                )
            if store.present(model.name):
                store.verify(model.name, progress)
                return model.name
            with store.changing(), store.arriving(model, progress) as folder:
                _tar_read(model, tar, archive, folder)
    except tarfile.TarError as error:
        raise DigestMismatch(f"{archive.name} is not an exported model: {error}") from error
    return model.name


def manifest_peek(archive: Path) -> dict[str, Any]:
    """Return what an archive says of its model.

    Raises:
        DigestMismatch: It is no exported model.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            return _manifest_read(tar, archive)
    except tarfile.TarError as error:
        raise DigestMismatch(f"{archive.name} is not an exported model: {error}") from error


def manifest_of(model: ModelEntry) -> dict[str, Any]:
    """Return what an archive says about its model: name, digest, licence, origin and files."""
    return {
        "format": _FORMAT,
        "name": model.name,
        "digest": model.digest,
        "role": model.role,
        "licence": model.licence,
        "attribution": model.attribution,
        "source": [dataclasses.asdict(package) for package in model.source],
        "files": [{"path": f.path, "sha256": f.sha256, "size_bytes": f.size_bytes} for f in model.files],
    }


def _tar_write(model: ModelEntry, folder: Path, target: Path, progress: Progress) -> None:
    done_bytes = 0
    with tarfile.open(target, "w:", format=tarfile.PAX_FORMAT) as tar:
        manifest = json.dumps(manifest_of(model), indent=2).encode()
        tar.addfile(_tar_member(MANIFEST, len(manifest)), io.BytesIO(manifest))
        for file in model.files:
            with (folder / file.path).open("rb") as stream:
                tar.addfile(_tar_member(f"files/{file.path}", file.size_bytes), stream)
            done_bytes += file.size_bytes
            progress(f"{model.name}: exporting", done_bytes, model.size_bytes)


def _tar_member(name: str, size_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    return member


def _manifest_read(tar: tarfile.TarFile, archive: Path) -> dict[str, Any]:
    member = tar.next()
    stream = tar.extractfile(member) if member is not None and member.isreg() else None
    if member is None or stream is None or member.name != MANIFEST or member.size > _MANIFEST_LIMIT_BYTES:
        raise DigestMismatch(f"{archive.name} is not an exported model: it does not begin with {MANIFEST}")
    try:
        manifest = json.loads(stream.read())
    except ValueError as error:
        raise DigestMismatch(f"{archive.name} has a damaged manifest: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT or not {"name", "digest"} <= set(manifest):
        raise DigestMismatch(f"{archive.name} has a manifest of another format; this version reads format {_FORMAT}")
    return manifest


def _tar_read(model: ModelEntry, tar: tarfile.TarFile, archive: Path, folder: Path) -> None:
    wanted = {f"files/{file.path}": file for file in model.files}
    for member in tar:
        if member.name == MANIFEST:
            continue
        file = wanted.pop(member.name, None)
        source = tar.extractfile(member) if member.isreg() else None
        if file is None or source is None or member.size != file.size_bytes:
            raise DigestMismatch(f"{archive.name}: '{member.name}' is not a file of model '{model.name}'")
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as output:
            shutil.copyfileobj(source, output, 1 << 20)
