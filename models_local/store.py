"""Where the models' bytes are: one folder per model, checked against the catalog, never repaired silently."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from models_local.catalog import Catalog, ModelEntry, ModelFile
from models_local.errors import DigestMismatch, ModelDamaged, ModelMissing

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is being done, bytes done, bytes in total)."""

_BLOCK_BYTES = 1 << 20
_SCRATCH = ".arriving-"


def silent(_name: str, _done_bytes: int, _total_bytes: int) -> None:
    """Progress that nobody watches."""


def file_digest(path: Path, advanced: Callable[[int], None] | None = None) -> str:
    """Return the sha256 of a file, streamed; ``advanced`` is told the size of each block."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            if advanced is not None:
                advanced(len(block))
    return digest.hexdigest()


class Store:
    """The model store at ``root``."""

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self.root = root
        self.catalog = catalog

    def present(self, name: str) -> bool:
        """Tell whether every file of the model is there with its size; digests are ``verify``'s matter."""
        return not self._gaps(self.catalog.model(name))

    def folder(self, name: str) -> Path:
        """Return the model's folder.

        Raises:
            ModelUnknown: The catalog lists no such model.
            ModelMissing: A file is not there or has another size.
        """
        gaps = self._gaps(self.catalog.model(name))
        if gaps:
            raise ModelMissing(
                f"model '{name}' is not complete in {self.root} ({gaps[0]}); "
                f"run './cloister models pull {name}' or './cloister models import FILE'"
            )
        return self.root / name

    def verify(self, name: str, progress: Progress = silent) -> None:
        """Compare every byte of the model with the catalog.

        Raises:
            ModelMissing: A file is not there or has another size.
            ModelDamaged: A digest differs, or there is a file that the catalog does not list.
        """
        model = self.catalog.model(name)
        folder = self.folder(name)
        strangers = sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if not path.is_dir() and path.relative_to(folder).as_posix() not in {file.path for file in model.files}
        )
        if strangers:
            raise ModelDamaged(f"model '{name}' has files that the catalog does not list: {', '.join(strangers)}")
        try:
            files_check(model, folder, progress)
        except DigestMismatch as error:
            raise ModelDamaged(
                f"{error}; run './cloister models remove {name}' and './cloister models pull {name}'"
            ) from error

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only process that changes the store; waits for another, and clears what a killed one left behind."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for stale in self.root.glob(f"{_SCRATCH}*"):
                shutil.rmtree(stale)
            yield

    @contextlib.contextmanager
    def arriving(self, model: ModelEntry, progress: Progress = silent) -> Iterator[Path]:
        """Give an empty folder for the model's files; check it at the end and move it into place in one step.

        Belongs inside ``changing``.

        Raises:
            DigestMismatch: A file differs from the catalog; nothing was kept.
            ModelDamaged: Something else stands in the model's place.
        """
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.root) as scratch:
            folder = Path(scratch) / model.name
            folder.mkdir()
            yield folder
            files_check(model, folder, progress)
            try:
                folder.rename(self.root / model.name)
            except OSError as error:
                raise ModelDamaged(
                    f"{self.root / model.name} exists but is not the model '{model.name}' of the catalog; "
                    f"run './cloister models remove {model.name}' first"
                ) from error

    def remove(self, name: str) -> int:
        """Delete the model's folder and return how many bytes that freed; the folder vanishes in one step.

        Raises:
            ModelMissing: There is no such folder.
        """
        self.catalog.model(name)
        folder = self.root / name
        if not folder.is_dir():
            raise ModelMissing(f"model '{name}' is not in {self.root}")
        freed_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        with self.changing(), tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.root) as scratch:
            folder.rename(Path(scratch) / name)
        return freed_bytes

    def _gaps(self, model: ModelEntry) -> list[str]:
        return [gap for file in model.files if (gap := self._gap(self.root / model.name, file))]

    @staticmethod
    def _gap(folder: Path, file: ModelFile) -> str | None:
        path = folder / file.path
        if not path.is_file():
            return f"{file.path} is missing"
        size_bytes = path.stat().st_size
        if size_bytes != file.size_bytes:
            return f"{file.path} has {size_bytes} bytes, not {file.size_bytes}"
        return None


def files_check(model: ModelEntry, folder: Path, progress: Progress = silent) -> None:
    """Compare all files of a model in any folder with the catalog.

    Raises:
        DigestMismatch: A file is missing or differs.
    """
    done_bytes = 0

    def advanced(block_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += block_bytes
        progress(f"{model.name}: checking", done_bytes, model.size_bytes)

    for file in model.files:
        path = folder / file.path
        if not path.is_file():
            raise DigestMismatch(f"model '{model.name}' lacks {file.path}")
        digest = file_digest(path, advanced)
        if digest != file.sha256:
            raise DigestMismatch(
                f"{file.path} of model '{model.name}' has sha256 {digest}, the catalog says {file.sha256}"
            )
