"""Content-addressed files: what users sent (blobs) and what jobs made on the way (artefacts)."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO, Protocol
from uuid import uuid4

from core.access.errors import TooLarge
from core.documents.errors import BytesMissing
from core.host.paths import home_layout
from core.settings.env import env

_CHUNK_BYTES = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Readable(Protocol):
    """Anything that bytes can be read from piece by piece."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StagedFile:
    """Bytes on the disk that are not yet at the place their digest names.

    Attributes:
        sha256: Of the bytes, in hexadecimal.
        draft: Where they are now, on the same file system as their place.
        root: Store they are meant for.
    """

    sha256: str
    size_bytes: int
    draft: Path
    root: Path

    def place(self) -> Path:
        """Move the bytes to their place; whoever finds them there finds all of them."""
        target = _place(self.root, self.sha256)
        if target.exists():
            self.discard()
            return target
        folders = (target.parent, target.parent.parent)
        missing = [folder for folder in folders if not folder.exists()]
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.draft.replace(target)
        for folder in {target.parent, *(made.parent for made in missing)}:
            _folder_sync(folder)
        return target

    def discard(self) -> None:
        """Remove the draft; nothing happens when it was placed."""
        self.draft.unlink(missing_ok=True)


def blob_stage(stream: Readable, *, limit_bytes: int | None = None) -> StagedFile:
    """Write a stream to the disk of the blobs and find its digest.

    Raises:
        TooLarge: There are more than ``limit_bytes``.
    """
    return _stage(home_layout(env().home_path).blobs, stream, limit_bytes)


def blob_stage_file(path: Path, *, limit_bytes: int | None = None) -> StagedFile:
    """Stage a file of the blobs' own file system without copying it; the file itself stays where it is.

    Raises:
        TooLarge: It has more than ``limit_bytes``.
        FileNotFoundError: It is not there.
    """
    root = home_layout(env().home_path).blobs
    draft = root / f"draft-{uuid4().hex}"
    os.link(path, draft)
    try:
        with draft.open("rb") as opened:
            digest, size_bytes = _digest(opened, limit_bytes)
            os.fsync(opened.fileno())
    except BaseException:
        draft.unlink()
        raise
    return StagedFile(sha256=digest, size_bytes=size_bytes, draft=draft, root=root)


def uploads_folder() -> Path:
    """Return where unfinished uploads lie: beside the blobs, so that a finished one is moved and not copied."""
    folder = home_layout(env().home_path).blobs / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def blob_write(stream: Readable) -> tuple[str, int]:
    """Store a stream; returns its sha256 and its size in bytes."""
    staged = blob_stage(stream)
    staged.place()
    return staged.sha256, staged.size_bytes


def blob_path(sha256: str) -> Path:
    """Return where the bytes of that digest lie."""
    return _place(home_layout(env().home_path).blobs, sha256)


def blob_open(sha256: str) -> BinaryIO:
    """Open stored bytes for reading.

    Raises:
        BytesMissing: They are not there.
    """
    return _open(blob_path(sha256))


def blob_remove(sha256: str) -> bool:
    """Remove stored bytes; returns whether there were any."""
    return _remove(blob_path(sha256))


def artefact_write(content: bytes) -> str:
    """Store bytes that a job made and return their sha256; ``core.jobs.service.artefact_store`` also records them."""
    staged = _stage(home_layout(env().home_path).artefacts, io.BytesIO(content), None)
    staged.place()
    return staged.sha256


def artefact_path(sha256: str) -> Path:
    """Return where the artefact of that digest lies."""
    return _place(home_layout(env().home_path).artefacts, sha256)


def artefact_read(sha256: str) -> bytes:
    """Return the bytes of an artefact.

    Raises:
        BytesMissing: They are not there.
    """
    with _open(artefact_path(sha256)) as opened:
        return opened.read()


def artefact_size_bytes(sha256: str) -> int:
    """Return the size of an artefact.

    Raises:
        BytesMissing: It is not there.
    """
    with _open(artefact_path(sha256)) as opened:
        return os.fstat(opened.fileno()).st_size


def artefact_remove(sha256: str) -> bool:
    """Remove an artefact's bytes; returns whether there were any."""
    return _remove(artefact_path(sha256))


def _place(root: Path, sha256: str) -> Path:
    if not _DIGEST.fullmatch(sha256):
        raise ValueError(f"'{sha256}' is not a sha256 in lower-case hexadecimal")
    return root / sha256[:2] / sha256[2:4] / sha256


def _stage(root: Path, stream: Readable, limit_bytes: int | None) -> StagedFile:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=root, prefix="draft-", delete=False) as draft:
        try:
            digest, size_bytes = _copy(stream, draft, limit_bytes)
        except BaseException:
            Path(draft.name).unlink()
            raise
    return StagedFile(sha256=digest, size_bytes=size_bytes, draft=Path(draft.name), root=root)


def _copy(stream: Readable, draft: IO[bytes], limit_bytes: int | None) -> tuple[str, int]:
    found = _digest(stream, limit_bytes, keep=draft.write)
    draft.flush()
    os.fsync(draft.fileno())
    return found


def _digest(
    stream: Readable, limit_bytes: int | None, *, keep: Callable[[bytes], object] = lambda _: None
) -> tuple[str, int]:
    digest = hashlib.sha256()
    size_bytes = 0
    while chunk := stream.read(_CHUNK_BYTES):
        size_bytes += len(chunk)
        if limit_bytes is not None and size_bytes > limit_bytes:
            raise TooLarge(f"the upload has more than {limit_bytes} bytes; CLOISTER_UPLOAD_MAX_MIB sets the limit")
        digest.update(chunk)
        keep(chunk)
    return digest.hexdigest(), size_bytes


def _folder_sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise BytesMissing(f"the stored file {path.name} is gone; restore it from a backup") from error


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    _folder_sync(path.parent)
    return True
